//! Passwords on the command lines of programs. It must not know what happens to a secret.

use super::value_rule::{ValueForm, ValueRule, rule};

/// A quoted argument, or a word.
const ARGUMENT: &str = r#"(?:"([^"\n]+)"|'([^'\n]+)'|([^\s"'-][^\s"']*))"#;

/// Programs, as a trigger and a pattern, with an option whose argument is a password.
const OPTIONS: [(&[&str], &str, &str); 9] = [
    (
        &["login"],
        r"(?:docker|podman|nerdctl|buildah|skopeo|oras|crane|regctl|helm\s+registry|az(?:\s+acr)?)\s+login",
        r"(?-i:-p)(?:=|\s{0,3})",
    ),
    (&["mongo"], r"mongo(?:sh|dump|restore|export|import|stat|top|files)?", r"(?-i:-p)(?:=|\s{1,3})"),
    (
        &["ldap"],
        r"ldap(?:search|modify|add|delete|whoami|passwd|compare|modrdn|exop|url)",
        r"(?-i:-w)(?:=|\s{0,3})",
    ),
    (&["cqlsh"], r"cqlsh", r"(?-i:-p)(?:=|\s{0,3})"),
    (&["sqlcmd", "bcp"], r"(?:sqlcmd|bcp)", r"(?-i:-P)(?:=|\s{0,3})"),
    (&["zip"], r"(?:un)?zip", r"(?-i:-P)(?:=|\s{0,3})"),
    (&["freerdp"], r"[xw]?freerdp\d?", r"/p:"),
    (&["openssl"], r"openssl", r"-pass(?:in|out)?\s{1,3}[\x22']?pass:"),
    (&["lftp", "ncftp"], r"(?:lftp|ncftp\w*)", r"(?-i:-u)\s{0,3}[^\s,]+,"),
];

/// The rules of programs.
pub(super) fn command_rules() -> Vec<ValueRule> {
    let mut rules: Vec<ValueRule> = OPTIONS
        .iter()
        .map(|(triggers, program, option)| {
            let source = format!(r"(?i)\b{program}\b(?:[^\n]{{0,200}}?\s|\s){option}{ARGUMENT}");
            rule(triggers, 0, source, ValueForm::Any)
        })
        .collect();
    rules.extend(other_rules());
    rules
}

fn other_rules() -> Vec<ValueRule> {
    vec![
        // `smbclient -U user%password`.
        rule(
            &["smb", "rpcclient", "net "],
            0,
            r#"(?i)\b(?:smb\w+|rpcclient|net)\b[^\n]{0,200}?\s(?:-U|--user(?:name)?)(?:=|\s{0,3})["']?[^\s%"']+%([^\s"']+)"#,
            ValueForm::Any,
        ),
        // `htpasswd -b file user password`, and `-n` without the file.
        rule(
            &["htpasswd"],
            0,
            r#"(?i)\bhtpasswd\s+(?:-\w+\s+)*?-\w*(?:nb|b\w*n|n\w*b)\w*\s+(?:-\w+\s+)*[^\s-]\S*\s+["']?([^\s"']+)"#,
            ValueForm::Any,
        ),
        rule(
            &["htpasswd"],
            0,
            r#"(?i)\bhtpasswd\s+(?:-\w+\s+)*?-\w*b\w*\s+(?:-\w+\s+)*[^\s-]\S*\s+\S+\s+["']?([^\s"']+)"#,
            ValueForm::Any,
        ),
        // User and password of Oracle, and passwords as options of programs.
        rule(
            &["oracle:", "sqlplus"],
            0,
            r"(?i)\b(?:oracle:\w{1,10}:|sqlplus\s+(?:-\w+\s+){0,4})[^\s/@]+/([^\s@]+)",
            ValueForm::Any,
        ),
        rule(
            &["rman", "sqlldr", "expdp", "impdp"],
            0,
            r#"(?i)\b(?:rman\s+target|sqlldr|expdp|impdp)\s+(?:userid=)?["']?[^\s/@"']+/([^\s@]+)@"#,
            ValueForm::Any,
        ),
        // `curl -u user:password`, also among other letters of options.
        rule(
            &["curl"],
            0,
            r#"(?i)\bcurl\b[^\n]{0,200}?\s(?:-[a-z]*u|--(?:proxy-)?user)(?:=|\s{0,3})["']?[^\s:"'/]*:([^\s"']+)"#,
            ValueForm::Any,
        ),
        rule(
            &["redis-cli"],
            0,
            r#"(?i)\bredis-cli\b[^\n]{0,80}?\s(?:-a|--pass)[= ]["']?([^\s"']+)"#,
            ValueForm::Any,
        ),
        // The words of `.netrc`, and of programs that take a password in the same word as an option.
        rule(
            &["password"],
            0,
            r"(?i)\b(?:login|user|account|machine)\s+\S+\s+password\s+(\S+)",
            ValueForm::Any,
        ),
        // A line of `.netrc` alone; of two ordinary words, such as `password reset`, it is a heading.
        rule(&["password"], 0, r"(?im)^\s*password\s+(\S{6,})\s*$", ValueForm::Mixed),
        rule(
            &["mysql", "mariadb"],
            0,
            r#"(?i)\b(?:mysql|mariadb)[\w-]*\s(?:[^\n]{0,200}?\s)?(?-i:-p)(?:"([^"\n]+)"|'([^'\n]+)'|([^\s"'-]\S{3,}))"#,
            ValueForm::Any,
        ),
        rule(&["sshpass"], 0, r#"(?i)\bsshpass\s+-p\s*["']?([^\s"']+)"#, ValueForm::Any),
    ]
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::secrets::masked;

    #[rstest]
    #[case("docker login -u bob -p letmein registry.example.org")]
    #[case("docker login registry.example.org -u bob -pletmein")]
    #[case("podman login -p 'letmein' -u bob")]
    #[case("az login --service-principal -u app -p letmein --tenant x")]
    #[case("az acr login -n shop -u bob -p letmein")]
    #[case("mongosh -u bob -p letmein db.example.org/shop")]
    #[case("mongodump --host db -u bob -p \"letmein\"")]
    #[case("ldapsearch -x -D cn=admin -w letmein -b dc=x")]
    #[case("ldapwhoami -wletmein")]
    #[case("smbclient //host/share -U bob%letmein")]
    #[case("rpcclient --user=bob%letmein host")]
    #[case("htpasswd -b .htpasswd bob letmein")]
    #[case("htpasswd -cb .htpasswd bob letmein")]
    #[case("htpasswd -nbB bob letmein")]
    #[case("htpasswd -bn bob letmein")]
    #[case("cqlsh -u bob -p letmein")]
    #[case("sqlcmd -S db -U sa -P letmein")]
    #[case("unzip -P letmein a.zip")]
    #[case("xfreerdp /u:bob /p:letmein /v:host")]
    #[case("openssl rsa -in a.pem -passin pass:letmein")]
    #[case("lftp -u bob,letmein ftp.example.org")]
    fn a_password_of_a_command_is_masked(#[case] line: &str) {
        for text in [line.to_owned(), format!("run `{line}`"), format!("fix: {line}\nsecond line")] {
            let shown = masked(&text);
            assert!(!shown.contains("letmein") && shown.contains("[masked]"), "{text} -> {shown}");
        }
    }

    #[rstest]
    #[case("docker login asks for the password")]
    #[case("docker run -p 8080:80 nginx")]
    #[case("docker compose -p shop up")]
    #[case("mongosh -p")]
    #[case("mongosh --port 27018 shop")]
    #[case("az login --use-device-code")]
    #[case("az group list -o table")]
    #[case("ldapsearch -x -W -D cn=admin -b dc=x")]
    #[case("smbclient //host/share -U bob")]
    #[case("htpasswd -c .htpasswd bob")]
    #[case("unzip -p a.zip readme.md")]
    #[case("mkdir -p src/login")]
    #[case("openssl rsa -in a.pem -passin stdin")]
    fn commands_without_a_password_stay(#[case] line: &str) {
        assert_eq!(masked(line), line);
    }
}
