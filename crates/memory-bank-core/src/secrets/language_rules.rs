//! Names of passwords in other languages, and short ones. It must not know what happens to a secret.

use super::rules::{ValueForm, ValueRule, rule, value};

/// The names. `pw` is one as a word only.
const NAMES: &str = r"(?:\b|_)pw|passwort|kennwort|contrase(?:n|(?u:[ñÑ]))a|mot[ _-]?de[ _-]?passe|senha|parola|wachtwoord|has(?:l|(?u:[łŁ]))o|heslo|jelsz(?:o|(?u:[óÓ]))|(?:s|(?u:[şŞ]))ifre|salasana|l(?:o|(?u:[öÖ]))senord|adgangskode|(?u:пароль|Пароль|ПАРОЛЬ|密码|密碼|パスワード|비밀번호|كلمة المرور)";
/// One of these is in each text with one of the names, in small letters of ASCII.
const WORDS: &[&str] = &[
    "pw",
    "wort",
    "contrase",
    "passe",
    "senha",
    "parola",
    "wachtwoord",
    "has",
    "heslo",
    "jelsz",
    "ifre",
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

/// The rules of these names: any value after `=`; after `:` one with digits, in quotation marks, or as the one word of its line.
pub(super) fn language_rules() -> Vec<ValueRule> {
    let name = format!(r#"(?i)(?:{NAMES})(?:\\?["'\]]){{0,2}}\s{{0,3}}"#);
    vec![
        rule(WORDS, 0, format!(r"{name}(?:=|:=|=>|%3D)\s{{0,3}}{}", value(r";&\\", 3, true)), ValueForm::Any),
        rule(WORDS, 0, format!(r"{name}:\s{{0,3}}{}", value(r";&,\\", 4, false)), ValueForm::Mixed),
        rule(
            WORDS,
            0,
            format!(r#"(?m){name}:\s{{0,3}}(?:\\?["'`]([^"'`\\\n]{{4,}})["'`]|([^\s"'`;&,]{{6,}})\s*$)"#),
            ValueForm::Any,
        ),
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
    fn words_stay(#[case] text: &str) {
        assert_eq!(masked(text), text);
    }
}
