//! Estimates tokens from above.
//!
//! It needs no vocabulary: it assumes the worst case of current tokenizers, which split words of Latin letters into
//! pieces, digits into threes and other scripts into letters or bytes. The estimate must not be too low for a text in any
//! script; it is for one of random letters of Latin or Han, which only somebody who means to writes.

/// An upper bound of the tokens of the text.
#[must_use]
pub fn estimated_tokens(text: &str) -> usize {
    // In tenths of a token.
    let mut tenths = 0;
    let mut run = Run::None;
    let mut length = 0;
    let mut before = Run::None;
    for character in text.chars() {
        let next = Run::of(character);
        if next == run {
            length += 1;
        } else {
            tenths += run.tenths(length);
            // A blank before digits is a token of its own.
            if run == Run::Blank && next == Run::Digits && before == Run::Digits {
                tenths += 10;
            }
            before = run;
            run = next;
            length = 1;
        }
    }
    (tenths + run.tenths(length)).div_ceil(10)
}

/// The final consonants of Hangul syllables that are tokens, by their position in the alphabet of finals.
const FREQUENT_FINALS: [u32; 11] = [0, 1, 4, 8, 16, 17, 19, 20, 21, 22, 23];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    None,
    Blank,
    Latin,
    Capitals,
    Accented,
    Cyrillic,
    Digits,
    Wide,
    Sign,
    /// Letters of so many tokens each, in tenths.
    Letters(usize),
    /// Signs and pictures of so many tokens each, in tenths.
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
            '\u{400}'..='\u{4ff}' => Self::Cyrillic,
            '\u{3000}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}' => Self::Wide,
            '\u{ac00}'..='\u{d7a3}' => {
                let is_frequent = FREQUENT_FINALS.contains(&((u32::from(character) - 0xac00) % 28));
                Self::Letters(if is_frequent { 9 } else { 30 })
            }
            _ if character.is_alphabetic() => Self::Letters(letter_tenths(character)),
            _ => Self::Symbols(letter_tenths(character)),
        }
    }

    fn tenths(self, length: usize) -> usize {
        match self {
            Self::None => 0,
            // One blank belongs to the next word.
            Self::Blank => (length - 1) * 5,
            Self::Latin if length < 12 => length.div_ceil(7) * 10,
            Self::Latin => length.div_ceil(4) * 10,
            Self::Capitals if length == 1 => 4,
            Self::Capitals => length.div_ceil(3) * 10,
            Self::Accented if length == 1 => 15,
            Self::Accented => length * 16,
            Self::Cyrillic => length.div_ceil(3) * 10,
            Self::Digits => length.div_ceil(3) * 10,
            Self::Wide => length * 9,
            Self::Sign if length == 1 => 10,
            Self::Sign => length.div_ceil(2) * 11,
            // A blank before letters of several tokens is one of its own.
            Self::Letters(tenths) if tenths >= 20 => length * tenths + 10,
            Self::Letters(tenths) | Self::Symbols(tenths) => length * tenths,
        }
    }
}

/// The tokens of a letter in tenths, from above, measured with o200k: twice those of a usual text in scripts whose words a vocabulary
/// has, else the most of any letter, which for most scripts is the number of its bytes.
fn letter_tenths(character: char) -> usize {
    match character {
        '\u{370}'..='\u{3ff}'
        | '\u{530}'..='\u{6ff}'
        | '\u{900}'..='\u{e7f}'
        | '\u{10a0}'..='\u{10ff}'
        | '\u{1780}'..='\u{17ff}' => 10,
        '\u{e80}'..='\u{f7f}'
        | '\u{1000}'..='\u{109f}'
        | '\u{1200}'..='\u{137f}'
        | '\u{1e00}'..='\u{1f7f}'
        | '\u{2000}'..='\u{22ff}'
        | '\u{2480}'..='\u{267f}'
        | '\u{2700}'..='\u{277f}'
        | '\u{3100}'..='\u{317f}'
        | '\u{fe00}'..='\u{ffef}' => 20,
        '\u{1f000}'..='\u{1faff}' => 30,
        _ => character.len_utf8() * 10,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// The counts are those of o200k.
    #[rstest]
    #[case("The quick brown fox jumps over the lazy dog.", 10)]
    #[case("- [2026-11-22 09:30:07] [alice] - Did: thing", 22)]
    #[case("下一步计划：完成支付模块的退款功能", 10)]
    #[case("Следующие шаги: завершить модуль оплаты", 10)]
    #[case("", 0)]
    fn the_estimate_is_not_too_low(#[case] text: &str, #[case] tokens: usize) {
        assert!(estimated_tokens(text) >= tokens, "{} for {text}", estimated_tokens(text));
        assert!(estimated_tokens(text) <= tokens * 2, "{} for {text}", estimated_tokens(text));
    }

    #[rstest]
    #[case(
        "결제 모듈의 환불 기능을 마치고 세션 저장소를 레디스로 옮긴 뒤 배포 절차를 다시 점검했습니다. 로그인 오류는 쿠키 만료 때문에 생겼다.",
        47
    )]
    #[case(
        "決済モジュールの返金機能を完成させ、セッションをRedisに移し、ログインの不具合を修正した。次はデプロイ手順の見直し。",
        46
    )]
    #[case("完成支付模块的退款功能，把会话迁移到 Redis，修复登录错误，然后检查部署流程。", 23)]
    #[case("完成支付模組的退款功能，將工作階段遷移到 Redis，修復登入錯誤，然後檢查部署流程。", 33)]
    #[case(
        "Завершить модуль оплаты, перенести сессии в хранилище и перепроверить порядок развёртывания.",
        28
    )]
    #[case(
        "Rechnungen werden kaufmännisch gerundet, weil das Hauptbuch der Bank es so verlangt; Rückerstattungen warten auf den Zahlungsdienst.",
        31
    )]
    #[case(
        "Hoàn thành chức năng hoàn tiền của mô-đun thanh toán và chuyển phiên làm việc sang Redis trước khi triển khai.",
        26
    )]
    #[case("भुगतान मॉड्यूल की धनवापसी सुविधा पूरी करें और सत्रों को रेडिस में ले जाएँ।", 27)]
    #[case("ทำฟังก์ชันคืนเงินของโมดูลการชำระเงินให้เสร็จและย้ายเซสชันไปยังเรดิส", 34)]
    #[case("أكمل وظيفة رد الأموال في وحدة الدفع وانقل الجلسات إلى ريديس", 18)]
    #[case("להשלים את פונקציית ההחזר במודול התשלום ולהעביר את ההפעלות לרדיס", 26)]
    #[case("Ολοκλήρωση της λειτουργίας επιστροφής χρημάτων στη μονάδα πληρωμών", 20)]
    #[case("Zakończyć funkcję zwrotów w module płatności i przenieść sesje do Redisa przed wdrożeniem", 29)]
    #[case(
        "Dokončit funkci vracení peněz v platebním modulu a přesunout relace do úložiště před nasazením",
        31
    )]
    #[case("Ödeme modülünün iade işlevini tamamla ve oturumları dağıtımdan önce taşı", 22)]
    #[case("Viimeistele maksumoduulin hyvitystoiminto ja siirrä istunnot ennen käyttöönottoa", 25)]
    #[case("Fejezze be a fizetési modul visszatérítési funkcióját és helyezze át a munkameneteket", 27)]
    #[case("கட்டண தொகுதியின் பணத்தைத் திரும்பப்பெறும் செயல்பாட்டை முடிக்கவும்", 21)]
    #[case("დაასრულეთ გადახდის მოდულის თანხის დაბრუნების ფუნქცია", 14)]
    #[case("Ավարտել վճարման մոդուլի գումարի վերադարձի գործառույթը", 17)]
    #[case("የክፍያ ሞጁሉን የገንዘብ ተመላሽ ተግባር ያጠናቅቁ", 57)]
    #[case("បញ្ចប់មុខងារសងប្រាក់វិញនៃម៉ូឌុលទូទាត់", 25)]
    #[case("ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ᎤᏙᎯᏳᎯ", 44)]
    #[case("Ｐａｙｍｅｎｔ ｍｏｄｕｌｅ ｉｓ ｄｏｎｅ １２３", 35)]
    #[case("👩‍👩‍👧‍👦🏳️‍🌈👍🏽🎉🚀✅❌🔥", 28)]
    #[case("let mut x = foo::bar(&self.baz)?; // HTTP_TIMEOUT_MS=3000", 20)]
    #[case("MEMORY_BANK_HOOK_TIMEOUT_MS XQZJKVWPB", 14)]
    #[case("matchingPassagesOfPromptTerms getContextDigestReply", 10)]
    #[case("crates/memory-bank-core/src/hooks/recall.rs:42", 14)]
    #[case("áéïôǔ z͓͑͒", 17)]
    #[case("∑∫√≈≠≤≥ ∀x∈ℝ ⟨a|b⟩ ⊕⊗", 31)]
    #[case("┌──────┐│ x │└──────┘", 15)]
    #[case("- a\n- b\n\n- c\n", 9)]
    #[case("\t\t\tx\t\ty", 4)]
    #[case("a      b          c", 5)]
    #[case("Z̷̢̛a̸l̴g̵o̶", 19)]
    fn the_estimate_is_not_too_low_in_any_script(#[case] text: &str, #[case] tokens: usize) {
        assert!(estimated_tokens(text) >= tokens, "{} for {text}", estimated_tokens(text));
        assert!(estimated_tokens(text) <= tokens * 7 / 2 + 10, "{} for {text}", estimated_tokens(text));
    }
}
