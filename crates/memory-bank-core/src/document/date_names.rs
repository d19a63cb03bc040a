//! The names of weekdays and months in the languages in which people write dates.

/// Whether a word is the name of a weekday, or its abbreviation.
pub(super) fn weekday(word: &str) -> bool {
    const DAYS: &[&str] = &[
        "mon",
        "monday",
        "tue",
        "tuesday",
        "wed",
        "wednesday",
        "thu",
        "thursday",
        "fri",
        "friday",
        "sat",
        "saturday",
        "sun",
        "sunday",
        "montag",
        "dienstag",
        "mittwoch",
        "donnerstag",
        "freitag",
        "samstag",
        "sonntag",
        "lundi",
        "mardi",
        "mercredi",
        "jeudi",
        "vendredi",
        "samedi",
        "dimanche",
        "lunes",
        "martes",
        "miércoles",
        "jueves",
        "viernes",
        "sábado",
        "domingo",
    ];
    DAYS.contains(&word.to_lowercase().as_str())
}

/// The names of the months.
const MONTHS: [&[&str]; 12] = [
    &[
        "january",
        "januar",
        "jänner",
        "janvier",
        "enero",
        "janeiro",
        "gennaio",
        "января",
        "январь",
        "янв",
        "stycznia",
        "styczeń",
    ],
    &[
        "february",
        "februar",
        "février",
        "fevrier",
        "febrero",
        "fevereiro",
        "febbraio",
        "февраля",
        "февраль",
        "фев",
        "lutego",
        "luty",
    ],
    &["march", "märz", "maerz", "mars", "marzo", "março", "marco", "марта", "март", "marca", "marzec"],
    &["april", "avril", "abril", "aprile", "апреля", "апрель", "апр", "kwietnia", "kwiecień"],
    &["may", "mai", "mayo", "maio", "maggio", "мая", "май", "maja", "maj"],
    &["june", "juni", "juin", "junio", "junho", "giugno", "июня", "июнь", "czerwca", "czerwiec"],
    &["july", "juli", "juillet", "julio", "julho", "luglio", "июля", "июль", "lipca", "lipiec"],
    &["august", "août", "aout", "agosto", "августа", "август", "авг", "sierpnia", "sierpień"],
    &[
        "september",
        "sept",
        "septembre",
        "septiembre",
        "setembro",
        "settembre",
        "сентября",
        "сентябрь",
        "сен",
        "września",
        "wrzesień",
    ],
    &[
        "october",
        "oktober",
        "octobre",
        "octubre",
        "outubro",
        "ottobre",
        "октября",
        "октябрь",
        "окт",
        "października",
        "październik",
    ],
    &["november", "novembre", "noviembre", "novembro", "ноября", "ноябрь", "ноя", "listopada", "listopad"],
    &[
        "december",
        "dezember",
        "décembre",
        "decembre",
        "diciembre",
        "dezembro",
        "dicembre",
        "декабря",
        "декабрь",
        "дек",
        "grudnia",
        "grudzień",
    ],
];

/// The month of a name or an abbreviation, in the languages whose dates have month names.
pub(super) fn month_of(word: &str) -> Option<i16> {
    let word = word.to_lowercase();
    let first = word.as_bytes().first();
    // Of an abbreviation: the months that begin with it.
    let mut begun: Option<i16> = None;
    let mut is_ambiguous = false;
    for (names, month) in MONTHS.iter().zip(1..) {
        for name in names.iter().filter(|name| name.as_bytes().first() == first) {
            match name.strip_prefix(word.as_str()) {
                Some("") => return Some(month),
                Some(_) => {
                    is_ambiguous |= begun.is_some_and(|other| other != month);
                    begun = Some(month);
                }
                None => {}
            }
        }
    }
    // An abbreviation has three letters or more.
    begun.filter(|_| !is_ambiguous && word.chars().nth(2).is_some())
}
