//! English verbs and nouns with irregular forms: a question contains "buy", the answer "bought".

use std::collections::HashMap;
use std::sync::LazyLock;

/// A base form, then its irregular forms.
const FORMS: &str = "\
arise arose arisen|awake awoke awoken|bear bore borne|beat beaten|become became|begin began begun|bend bent|bite bit bitten|\
blow blew blown|break broke broken|breed bred|bring brought|build built|burn burnt|buy bought|catch caught|choose chose chosen|\
cling clung|come came|creep crept|deal dealt|dig dug|do did done does|draw drew drawn|dream dreamt|drink drank drunk|\
drive drove driven|eat ate eaten|fall fell fallen|feed fed|feel felt|fight fought|find found|flee fled|fly flew flown|\
forbid forbade forbidden|forget forgot forgotten|forgive forgave forgiven|freeze froze frozen|get got gotten|give gave given|\
go went gone goes|grind ground|grow grew grown|hang hung|hear heard|hide hid hidden|hold held|keep kept|kneel knelt|\
know knew known|lay laid|lead led|lean leant|learn learnt|leave left|lend lent|light lit|lose lost|make made|mean meant|\
meet met|mistake mistook mistaken|overcome overcame|overwrite overwrote overwritten|pay paid|prove proven|rebuild rebuilt|\
rewrite rewrote rewritten|ride rode ridden|ring rang rung|rise rose risen|run ran|say said|see saw seen|seek sought|sell sold|\
send sent|sew sewn|shake shook shaken|shine shone|shoot shot|show shown|shrink shrank shrunk|sing sang sung|sink sank sunk|\
sit sat|sleep slept|slide slid|speak spoke spoken|spend spent|spin spun|spring sprang sprung|stand stood|steal stole stolen|\
stick stuck|strike struck|swear swore sworn|sweep swept|swim swam swum|swing swung|take took taken|teach taught|tear tore torn|\
tell told|think thought|throw threw thrown|understand understood|undo undid undone|wake woke woken|wear wore worn|weave wove woven|\
weep wept|win won|withdraw withdrew withdrawn|write wrote written|\
child children|foot feet|goose geese|index indices|man men|matrix matrices|mouse mice|tooth teeth|vertex vertices|\
woman women|wife wives|knife knives|shelf shelves|half halves|schema schemata|criterion criteria";

/// The base form of an irregular form.
pub(super) fn base_of(word: &str) -> Option<&'static str> {
    static BASES: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
        let mut bases = HashMap::new();
        for line in FORMS.split('|') {
            let mut forms = line.split(' ');
            let Some(base) = forms.next() else { continue };
            bases.extend(forms.map(|form| (form, base)));
        }
        bases
    });
    BASES.get(word).copied()
}
