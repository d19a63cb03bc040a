//! The tokens of kana, Han characters and Hangul syllables. A vocabulary has the frequent ones; of the others it has the beginnings
//! of their bytes, so that all of a block have two tokens or three. Counted in o200k and cl100k, of which the larger number is taken.

/// The characters that are one token in both vocabularies, in the order of their codes.
const ONE_TOKEN: &str = "\u{3000}\
    、。《》「」『』【】〜あいうえおかがきくけこごさざしじすせそただちっつてでとど\
    なにのはばまみめもやよらりるれろわをんアィイウェエオカキクグコサシジスズセタダチ\
    ッテデトドナニバパビピフブプペポマムメャュョラリルレロン・ー一万三上下不与专业东\
    两个中串为主么义之也书了事二于五些交产享京人亿今介从他付代以们件价任份企优会传但\
    位体何余作你使例供価保信修倍值停像元先入全公共关其具内円册再写出击分列则初利别到\
    制前力功加务动動包化北区十午华单南即历原去县参及友反发取变口只可台右号司合同名后\
    向否含听启告员周命和品哈商問器四回因国图土在地场址型城基報場填增声处备复外多大天\
    失头女好如始子字存学安宋完定实审客家容密对导将小少尔就局展山岁州工左已市布常平年\
    并广序库应店度建开异式引张当录形影径待後得微心必志态思性总息您情意感成我或户所手\
    打找技投报拉持指按换据排接推提播支收改放政效数整文料断新方族无日时明易星是時景更\
    最月有服期木未本机权束条来板构析果查标样核格案检模次款止正此步歳段每比民気水求江\
    汽没治法注活流海消清游源火点無然片版物特率环现球理生用由电男画界番登的监目直相省\
    看県真知码确示社票私种科秒称移程稍税稿空立站章端笑符第等签简算管箱米类系素索约级\
    线组经结给络统编网置美老考者而联能自至色节英藏行表装西要見见规视角解言計記話読计\
    认议记论设证评试话询该详语误说请读调象责败账货购费资起超路身车转软载辑输达过运近\
    还这进连述退送选通速造連道邮部都配释里重量金钟钮链销错键长開間関门闭问间队阳陆限\
    院除雅集雷需非面音页项预频题额首验高黑가간값개거게결경고공과구그글기나내는능니다\
    당대도동되된드든들디라래러력로록료류른를름리만메면명목문미버번보복부분비사산상색\
    생서성세션소수스습시식신아야어에여열오와요용우운원위으은을음의이인일임입자작장재\
    적전정제져조주지진째체출치크태터턴트튼하한할함해호화환회\
";
/// The bytes of each of them.
const CHARACTER_BYTES: usize = 3;
/// The first block, of 64 characters, in [`TWO_TOKEN_BLOCKS`].
const FIRST_BLOCK: u32 = 0x4e00 / BLOCK_CHARACTERS;
const BLOCK_CHARACTERS: u32 = 64;
/// The blocks whose characters have at most two tokens, the first one in the lowest bit.
const TWO_TOKEN_BLOCKS: [u64; 9] = [
    0x87e0_bfb8_7bff_ebff,
    0xfff0_2bff_f6ff_1bff,
    0x36ff_f63e_31c3_121f,
    0xffe7_ce02_01bf_8f7c,
    0x0002_4f3f_fc10_8fe0,
    0xaf00_0000_0000_0048,
    0x4d86_ebc0_19ac_3403,
    0x4500_d17f_e00c_7c01,
    0x0000_0003_2014_1a02,
];

/// The tokens of such a character.
pub(super) fn tokens_of(character: char) -> usize {
    let mut bytes = [0; 4];
    let written = character.encode_utf8(&mut bytes).as_bytes();
    let (frequent, _) = ONE_TOKEN.as_bytes().as_chunks::<CHARACTER_BYTES>();
    match u32::from(character) {
        _ if frequent.binary_search_by(|one| one.as_slice().cmp(written)).is_ok() => 1,
        code if code < FIRST_BLOCK * BLOCK_CHARACTERS || has_two_tokens(code) => 2,
        _ => 3,
    }
}

fn has_two_tokens(code: u32) -> bool {
    let block = code / BLOCK_CHARACTERS - FIRST_BLOCK;
    let word = usize::try_from(block / u64::BITS).ok().and_then(|at| TWO_TOKEN_BLOCKS.get(at));
    word.is_some_and(|word| word >> (block % u64::BITS) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn the_frequent_characters_have_three_bytes_and_are_in_order() {
        let characters: Vec<char> = ONE_TOKEN.chars().collect();
        assert!(characters.iter().all(|character| character.len_utf8() == CHARACTER_BYTES));
        assert!(characters.is_sorted());
        assert_eq!(characters.len(), 788);
    }

    /// The counts are the larger ones of o200k and cl100k.
    #[rstest]
    #[case('的', 1)]
    #[case('退', 1)]
    #[case('龘', 2)]
    #[case('霴', 2)]
    #[case('鉀', 3)]
    #[case('가', 1)]
    #[case('뱀', 3)]
    #[case('갈', 2)]
    #[case('あ', 1)]
    #[case('ゐ', 2)]
    fn a_character_has_the_tokens_of_the_vocabularies(#[case] character: char, #[case] tokens: usize) {
        assert_eq!(tokens_of(character), tokens);
    }
}
