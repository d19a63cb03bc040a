//! Names of passwords in other languages, and short ones. It must not know what happens to a secret.

use super::value_rule::{ValueForm, ValueRule, rule, value};

/// The names. `pw` is one as a word only.
const NAMES: &str = r"(?:\b|_)pw|passwort|kennwort|contrase(?:n|(?u:[ñÑ]))a|mot[ _-]?de[ _-]?passe|senha|parola|wachtwoord|has(?:l|(?u:[łŁ]))o|heslo|jelsz(?:o|(?u:[óÓ]))|(?:s|(?u:[şŞ]))ifre|salasana|l(?:o|(?u:[öÖ]))senord|adgangskode|(?u:пароль|Пароль|ПАРОЛЬ|密码|密碼|パスワード|비밀번호|كلمة المرور)";
/// One of these is in each text with one of the names, in small letters of ASCII.
const WORDS: &[&str] = &[
    "pw",
    "passwort",
    "kennwort",
    "contrase",
    "de passe",
    "de-passe",
    "de_passe",
    "depasse",
    "senha",
    "parola",
    "wachtwoord",
    "haslo",
    "hasł",
    "hasŁ",
    "heslo",
    "jelsz",
    "sifre",
    "şifre",
    "Şifre",
    "salasana",
    "senord",
    "adgangskode",
    "пароль",
    "Пароль",
    "ПАРОЛЬ",
    "密码",
    "密碼",
    "パスワード",
    "비밀번호",
    "كلمة المرور",
];

/// The names of passwords in English, of which [`super::rules`] has the other rules.
const ENGLISH_NAMES: &str = "password|passwd|passphrase|passcode|pwd";
/// One of these is in each text with one of the names of either kind, beside [`WORDS`].
const ENGLISH_WORDS: &[&str] = &["passw", "passphrase", "passcode", "pwd"];
/// Verbs between a name and a password: of English, German, French, Spanish and Portuguese, Italian, Dutch, Swedish and Danish,
/// Finnish, Polish, Czech, Hungarian, Romanian, Turkish.
const VERBS: &str = r"is|was|equals|ist|lautet|war|est|etait|(?u:était)|es|era|sera|(?u:será)|(?u:é)|eh|(?u:è)|luidt|(?u:är)|var|er|on|oli|to|jest|brzmi|je|(?u:zní)|bylo|este|lett|lesz|(?u:şu)";
/// The names and verbs of scripts of their own. Some languages write no verb, or no blank.
const OWN_SCRIPT_NAMES: &str = r"(?u:пароль|Пароль|ПАРОЛЬ|密码|密碼|パスワード|비밀번호|كلمة المرور)";
const OWN_SCRIPT_VERBS: &str = r"(?u:это|такой|теперь|—|–|-|是|为|為|就是|は|が|는|은|가|هي|هو)";
const OPENING_MARKS: &str = r#"(?:["'`]|(?u:[„“”«»‘’「『])\s?)?"#;

/// The rules of these names: any value after `=`; after `:` one with digits, in quotation marks, or as the one word of its line; after
/// a verb one with digits or signs, or in quotation marks, and any value after a verb and `:`.
pub(super) fn language_rules() -> Vec<ValueRule> {
    let name = format!(r#"(?i)(?:{NAMES})(?:\\?["'\]]){{0,2}}\s{{0,3}}"#);
    let mut rules = vec![
        rule(WORDS, 0, format!(r"{name}(?:=|:=|=>|%3D)\s{{0,3}}{}", value(r";&\\", 3, true)), ValueForm::Any),
        rule(WORDS, 0, format!(r"{name}:\s{{0,3}}{}", value(r";&,\\", 4, false)), ValueForm::Mixed),
        rule(
            WORDS,
            0,
            format!(r#"(?m){name}:\s{{0,3}}(?:\\?["'`]([^"'`\\\n]{{4,}})["'`]|([^\s"'`;&,]{{6,}})\s*$)"#),
            ValueForm::Any,
        ),
    ];
    rules.extend(rules_of_verbs());
    rules
}

fn rules_of_verbs() -> Vec<ValueRule> {
    let words = [WORDS, ENGLISH_WORDS].concat();
    // `the password of the shop is …`.
    let verb = format!(
        r#"(?i)(?:{NAMES}|{ENGLISH_NAMES})(?:\\?["'\]]){{0,2}}\s{{1,3}}(?:[^\n.;:=]{{1,40}}?\s)??(?:{VERBS})"#
    );
    let behind = r"(?:\s{0,3}[:=]\s{0,3}|\s{1,3})";
    let own_script = format!(r"{OWN_SCRIPT_NAMES}\s{{0,3}}{OWN_SCRIPT_VERBS}\s{{0,3}}[:=]?\s{{0,3}}");
    let quoted = r#"(?:"([^"\n]{4,})"|'([^'\n]{4,})'|`([^`\n]{4,})`|(?u:„([^\n“”]{4,})[“”]|“([^\n”]{4,})”|«([^\n»]{4,})»|「([^\n」]{3,})」|『([^\n』]{3,})』))"#;
    vec![
        rule(&words, 0, format!(r#"{verb}{behind}{OPENING_MARKS}([^\s"'`]{{4,}})"#), ValueForm::Password),
        rule(
            &words,
            0,
            format!(r#"{verb}\s{{0,3}}[:=]\s{{0,3}}{OPENING_MARKS}([^\s"'`]{{4,}})"#),
            ValueForm::Any,
        ),
        rule(&words, 0, format!("{verb}{behind}{quoted}"), ValueForm::Any),
        rule(WORDS, 0, format!(r#"{own_script}{OPENING_MARKS}([!-~]{{4,}})"#), ValueForm::Password),
        // A password may have letters of such a script where blanks are between words.
        rule(
            &["пароль", "Пароль", "ПАРОЛЬ", "كلمة المرور"],
            0,
            format!(r#"{own_script}{OPENING_MARKS}([^\s"'`]{{4,}})"#),
            ValueForm::Password,
        ),
        rule(WORDS, 0, format!("{own_script}{quoted}"), ValueForm::Any),
    ]
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::secrets::masked;

    #[rstest]
    #[case("pw: letmein1")]
    #[case("PW=letmein")]
    #[case("db_pw = 'letmein'")]
    #[case("Passwort: letmein")]
    #[case("das Passwort: \"letmein\" gilt")]
    #[case("contraseña=letmein")]
    #[case("Contraseña: letmein9 del servidor")]
    #[case("CONTRASEÑA=letmein")]
    #[case("mot de passe : letmein9")]
    #[case("senha=letmein")]
    #[case("пароль: letmein7")]
    #[case("密码：letmein7")]
    #[case("ｐａｓｓｗｏｒｄ=letmein")]
    #[case("ｐａｓｓｗｏｒｄ＝ｌｅｔｍｅｉｎ")]
    #[case("ＤＢ＿ＰＡＳＳＷＯＲＤ：letmein9")]
    #[case("das Kennwort lautet letmein!77x")]
    #[case("Kennwort lautet: letmein")]
    #[case("das Passwort für die Datenbank ist letmein7")]
    #[case("Passwort ist 'letmein'")]
    #[case("das Passwort lautet „letmein“")]
    #[case("le mot de passe est letmein7")]
    #[case("le mot de passe est « letmein »")]
    #[case("la contraseña es letmein7")]
    #[case("la contraseña de la base es: letmein")]
    #[case("a senha é letmein7")]
    #[case("la parola è letmein7")]
    #[case("het wachtwoord is letmein7")]
    #[case("hasło to letmein7")]
    #[case("heslo je letmein7")]
    #[case("lösenord är letmein7")]
    #[case("adgangskode er letmein7")]
    #[case("salasana on letmein7")]
    #[case("parola este letmein7")]
    #[case("пароль — letmein7")]
    #[case("Пароль это letmein7")]
    #[case("пароль такой: letmein7")]
    #[case("密码是 letmein7!")]
    #[case("密码是letmein7。")]
    #[case("密码为：letmein7")]
    #[case("密碼是「letmein」")]
    #[case("パスワードはletmein7です")]
    #[case("パスワードは「letmein」です")]
    #[case("비밀번호는 letmein7 입니다")]
    #[case("كلمة المرور هي letmein7")]
    fn a_password_under_another_name_is_masked(#[case] text: &str) {
        for text in [text.to_owned(), format!("ä {text}")] {
            let shown = masked(&text);
            assert!(
                !shown.contains("letmein") && !shown.contains("ｌｅｔｍｅ") && shown.contains("[masked]"),
                "{text} -> {shown}"
            );
        }
    }

    #[rstest]
    #[case("the pwd command: prints a path")]
    #[case("Das Passwort: es wird nicht mehr gebraucht")]
    #[case("Passwort zurücksetzen")]
    #[case("the parola is a word of Italian")]
    #[case("ｆｕｌｌ ｗｉｄｔｈ：text 42")]
    #[case("hash: value of 3 files")]
    #[case("das Passwort ist falsch, das Kennwort lautet anders")]
    #[case("das Passwort der Nutzer wird in 3 Schritten geprüft")]
    #[case("le mot de passe est obligatoire ! La senha é necessária?")]
    #[case("la contraseña es obligatoria")]
    #[case("hasło jest wymagane, heslo je povinné")]
    #[case("пароль — обязательное поле")]
    #[case("密码是必填项。パスワードは必須です。비밀번호는 필수입니다")]
    #[case("the password field of the form is required, tests passed")]
    #[case("the password reset is in src/login/reset.rs")]
    fn words_stay(#[case] text: &str) {
        assert_eq!(masked(text), text);
    }
}
