//! Estimates tokens from above.
//!
//! It needs no vocabulary: it assumes the worse of o200k and cl100k, which split words of Latin letters into pieces, digits
//! into threes and other scripts into letters or bytes. The estimate must not be too low for a text in any script; it is for
//! one of random letters, which only somebody who means to writes. Random Han and Hangul are counted by their characters.

mod wide_letters;

use std::sync::LazyLock;

use self::wide_letters::tokens_of;
use crate::unicode::is_alphabetic;

/// An upper bound of the tokens of the text.
#[must_use]
pub fn estimated_tokens(text: &str) -> usize {
    if text.is_ascii() {
        // It runs on every reply, most of which are ASCII.
        let kinds: &[u8; 256] = &KINDS;
        let kind = |byte: &u8| kinds.get(usize::from(*byte));
        let runs = text.as_bytes().chunk_by(|one, next| kind(one) == kind(next));
        tokens_of_runs(runs.filter_map(|run| Some((Run::of(char::from(*run.first()?)), run.len()))), false)
    } else {
        tokens_of_runs(text.chars().map(|character| (Run::of(character), 1)), has_accents(text))
    }
}

/// A number for each byte, by the kind of run that ASCII characters belong to.
static KINDS: LazyLock<[u8; 256]> = LazyLock::new(|| {
    std::array::from_fn(|byte| match u8::try_from(byte) {
        Ok(b' ') => 1,
        Ok(b'a'..=b'z') => 2,
        Ok(b'A'..=b'Z') => 3,
        Ok(b'0'..=b'9') => 4,
        Ok(b'!'..=b'~') => 5,
        _ => 0,
    })
});

/// The tokens of a text: the run that each of its parts belongs to, and the characters of the part. Neighbouring parts may belong
/// together.
fn tokens_of_runs(parts: impl Iterator<Item = (Run, usize)>, has_accents: bool) -> usize {
    // In tenths of a token.
    let mut tenths = 0;
    let mut run = Run::None;
    let mut length = 0;
    let mut before = Run::None;
    for (next, characters) in parts {
        if next == run {
            length += characters;
        } else {
            tenths += run.tenths(length, has_accents);
            if run == Run::Blank && next.parts_from_blank(before) {
                tenths += 10;
            }
            before = run;
            run = next;
            length = characters;
        }
    }
    (tenths + run.tenths(length, has_accents)).div_ceil(10)
}

/// Whether one letter of a hundred has an accent: long words of other languages have more tokens than those of English.
fn has_accents(text: &str) -> bool {
    let letters = text.bytes().filter(u8::is_ascii_lowercase).count();
    let accents = text.chars().filter(|character| matches!(character, '\u{c0}'..='\u{17f}')).count();
    accents * 100 > letters
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    None,
    Blank,
    Latin,
    Capitals,
    Accented,
    Cyrillic,
    Digits,
    Sign,
    /// Kana, Han characters or syllables of Hangul, with the number of tokens of each.
    Wide(usize),
    /// Letters, with the number of tokens of each in tenths.
    Letters(usize),
    /// Signs and pictures, with the number of tokens of each in tenths.
    Symbols(usize),
}

impl Run {
    fn of(character: char) -> Self {
        match character {
            ' ' => Self::Blank,
            'a'..='z' => Self::Latin,
            'A'..='Z' => Self::Capitals,
            '0'..='9' => Self::Digits,
            '!'..='~' => Self::Sign,
            '\u{c0}'..='\u{17f}' => Self::Accented,
            '\u{400}'..='\u{45f}' => Self::Cyrillic,
            '\u{3000}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' => {
                Self::Wide(tokens_of(character))
            }
            _ if is_alphabetic(character) => Self::Letters(letter_tenths(character)),
            _ => Self::Symbols(letter_tenths(character)),
        }
    }

    /// Whether a blank before it is a token of its own, after a run of this kind.
    fn parts_from_blank(self, before: Self) -> bool {
        match self {
            Self::Digits => before == Self::Digits,
            Self::Wide(tokens) => tokens > 1,
            _ => false,
        }
    }

    fn tenths(self, length: usize, has_accents: bool) -> usize {
        match self {
            Self::None => 0,
            // One blank belongs to the next word.
            Self::Blank => (length - 1) * 5,
            Self::Latin if has_accents && length > 5 => length.div_ceil(3) * 10,
            Self::Latin if length < 12 => length.div_ceil(7) * 10,
            Self::Latin => length.div_ceil(4) * 10,
            Self::Capitals if length == 1 => 4,
            Self::Capitals => length.div_ceil(3) * 10,
            Self::Accented if length == 1 => 15,
            Self::Accented => length * 16,
            Self::Cyrillic => (length * 6).div_ceil(10) * 10,
            Self::Digits => length.div_ceil(3) * 10,
            Self::Wide(tokens) => length * tokens * 10,
            Self::Sign if length == 1 => 10,
            Self::Sign => length.div_ceil(2) * 11,
            // A blank before letters of several tokens is one of its own.
            Self::Letters(tenths) if tenths >= 20 => length * tenths + 10,
            Self::Letters(tenths) | Self::Symbols(tenths) => length * tenths,
        }
    }
}

/// The tokens of a letter in tenths, from above, measured with cl100k, which has more than o200k: those of a usual text and a
/// tenth in scripts whose words a vocabulary has, else the most of any letter, which for most scripts is the number of its bytes.
fn letter_tenths(character: char) -> usize {
    match character {
        '\u{370}'..='\u{3ff}' | '\u{600}'..='\u{6ff}' | '\u{e00}'..='\u{e7f}' => 12,
        '\u{590}'..='\u{5ff}' | '\u{900}'..='\u{97f}' => 14,
        '\u{460}'..='\u{52f}'
        | '\u{e80}'..='\u{f7f}'
        | '\u{1000}'..='\u{109f}'
        | '\u{1e00}'..='\u{1f7f}'
        | '\u{2000}'..='\u{22ff}'
        | '\u{2480}'..='\u{267f}'
        | '\u{2700}'..='\u{277f}'
        | '\u{3100}'..='\u{317f}'
        | '\u{fe00}'..='\u{ffef}' => 20,
        '\u{530}'..='\u{58f}' | '\u{980}'..='\u{dff}' | '\u{10a0}'..='\u{10ff}' | '\u{1780}'..='\u{17ff}' => {
            21
        }
        '\u{1f000}'..='\u{1faff}' => 30,
        _ => character.len_utf8() * 10,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// The counts are the larger ones of o200k and cl100k.
    #[rstest]
    #[case("The quick brown fox jumps over the lazy dog.", 10)]
    #[case("- [2026-11-22 09:30:07] [alice] - Did: thing", 22)]
    #[case("下一步计划：完成支付模块的退款功能", 16)]
    #[case("Следующие шаги: завершить модуль оплаты", 19)]
    #[case("", 0)]
    fn the_estimate_is_not_too_low(#[case] text: &str, #[case] tokens: usize) {
        assert!(estimated_tokens(text) >= tokens, "{} for {text}", estimated_tokens(text));
        assert!(estimated_tokens(text) <= tokens * 2, "{} for {text}", estimated_tokens(text));
    }

    proptest! {
        #[test]
        fn ascii_is_counted_as_any_other_text(text in "[ -~\t\n\r\x00-\x7f]{0,60}") {
            let parts = text.chars().map(|character| (Run::of(character), 1));
            prop_assert_eq!(estimated_tokens(&text), tokens_of_runs(parts, false));
        }
    }

    #[rstest]
    #[case(
        "결제 모듈의 환불 기능을 마치고 세션 저장소를 레디스로 옮긴 뒤 배포 절차를 다시 점검했습니다. 로그인 오류는 쿠키 만료 때문에 생겼다.",
        74
    )]
    #[case(
        "決済モジュールの返金機能を完成させ、セッションをRedisに移し、ログインの不具合を修正した。次はデプロイ手順の見直し。",
        57
    )]
    #[case("完成支付模块的退款功能，把会话迁移到 Redis，修复登录错误，然后检查部署流程。", 34)]
    #[case("完成支付模組的退款功能，將工作階段遷移到 Redis，修復登入錯誤，然後檢查部署流程。", 44)]
    #[case(
        "Завершить модуль оплаты, перенести сессии в хранилище и перепроверить порядок развёртывания.",
        41
    )]
    #[case(
        "Rechnungen werden kaufmännisch gerundet, weil das Hauptbuch der Bank es so verlangt; Rückerstattungen warten auf den Zahlungsdienst.",
        40
    )]
    #[case(
        "Hoàn thành chức năng hoàn tiền của mô-đun thanh toán và chuyển phiên làm việc sang Redis trước khi triển khai.",
        43
    )]
    #[case("भुगतान मॉड्यूल की धनवापसी सुविधा पूरी करें और सत्रों को रेडिस में ले जाएँ।", 75)]
    #[case("ทำฟังก์ชันคืนเงินของโมดูลการชำระเงินให้เสร็จและย้ายเซสชันไปยังเรดิส", 62)]
    #[case("أكمل وظيفة رد الأموال في وحدة الدفع وانقل الجلسات إلى ريديس", 40)]
    #[case("להשלים את פונקציית ההחזר במודול התשלום ולהעביר את ההפעלות לרדיס", 60)]
    #[case("Ολοκλήρωση της λειτουργίας επιστροφής χρημάτων στη μονάδα πληρωμών", 61)]
    #[case("Zakończyć funkcję zwrotów w module płatności i przenieść sesje do Redisa przed wdrożeniem", 30)]
    #[case(
        "Dokončit funkci vracení peněz v platebním modulu a přesunout relace do úložiště před nasazením",
        38
    )]
    #[case("Ödeme modülünün iade işlevini tamamla ve oturumları dağıtımdan önce taşı", 30)]
    #[case("Viimeistele maksumoduulin hyvitystoiminto ja siirrä istunnot ennen käyttöönottoa", 30)]
    #[case("Fejezze be a fizetési modul visszatérítési funkcióját és helyezze át a munkameneteket", 37)]
    #[case("கட்டண தொகுதியின் பணத்தைத் திரும்பப்பெறும் செயல்பாட்டை முடிக்கவும்", 89)]
    #[case("დაასრულეთ გადახდის მოდულის თანხის დაბრუნების ფუნქცია", 99)]
    #[case("Ավարտել վճարման մոդուլի գումարի վերադարձի գործառույթը", 101)]
    #[case("የክፍያ ሞጁሉን የገንዘብ ተመላሽ ተግባር ያጠናቅቁ", 77)]
    #[case("បញ្ចប់មុខងារសងប្រាក់វិញនៃម៉ូឌុលទូទាត់", 64)]
    #[case("ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ᎤᏙᎯᏳᎯ", 44)]
    #[case("Ｐａｙｍｅｎｔ ｍｏｄｕｌｅ ｉｓ ｄｏｎｅ １２３", 45)]
    #[case("👩‍👩‍👧‍👦🏳️‍🌈👍🏽🎉🚀✅❌🔥", 46)]
    #[case("let mut x = foo::bar(&self.baz)?; // HTTP_TIMEOUT_MS=3000", 20)]
    #[case("MEMORY_BANK_HOOK_TIMEOUT_MS XQZJKVWPB", 14)]
    #[case("matchingPassagesOfPromptTerms getContextDigestReply", 10)]
    #[case("crates/memory-bank-core/src/hooks/recall.rs:42", 14)]
    #[case("áéïôǔ z͓͑͒", 20)]
    #[case("∑∫√≈≠≤≥ ∀x∈ℝ ⟨a|b⟩ ⊕⊗", 31)]
    #[case("┌──────┐│ x │└──────┘", 15)]
    #[case("- a\n- b\n\n- c\n", 9)]
    #[case("\t\t\tx\t\ty", 4)]
    #[case("a      b          c", 5)]
    #[case("Z̷̢̛a̸l̴g̵o̶", 19)]
    #[case(
        "Виправлено витік пам’яті під час експорту звітів, тести проходять; далі перенести сесії у сховище.",
        56
    )]
    #[case("Төлем модулінің қайтару функциясын аяқтау және сессияларды қоймаға көшіру", 54)]
    #[case("ادائیگی کے ماڈیول کی واپسی مکمل کریں اور سیشن منتقل کریں", 46)]
    #[case("পেমেন্ট মডিউলের ফেরত ফাংশন সম্পূর্ণ করুন", 49)]
    #[case("霴鄀礀缀舀砀帀一琀汀簀幀玀帀鉀鬀鬸鴠蔀鼀挀錀罀耀鐀桀", 59)]
    #[case("갈퐤틨맸챨묘뇸쿜랤 갈쐜뮨괬끠땤뾸먀룀", 47)]
    fn the_estimate_is_not_too_low_in_any_script(#[case] text: &str, #[case] tokens: usize) {
        assert!(estimated_tokens(text) >= tokens, "{} for {text}", estimated_tokens(text));
        assert!(estimated_tokens(text) <= tokens * 7 / 2 + 10, "{} for {text}", estimated_tokens(text));
    }
}
