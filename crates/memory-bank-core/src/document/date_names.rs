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
    let begins_alike = |name: &&&str| name.as_bytes().first() == word.as_bytes().first();
    let is_name = |names: &[&str]| names.iter().filter(begins_alike).any(|name| *name == word);
    if let Some((_, number)) = MONTHS.iter().zip(1..).find(|(names, _)| is_name(names)) {
        return Some(number);
    }
    if word.chars().count() < 3 {
        return None;
    }
    // Abbreviations of three letters or more that are the beginning of one month only.
    let begins = |names: &[&str]| names.iter().filter(begins_alike).any(|name| name.starts_with(&word));
    let mut short = MONTHS.iter().zip(1..).filter(|(names, _)| begins(names));
    short.next().filter(|_| short.next().is_none()).map(|(_, number)| number)
}
