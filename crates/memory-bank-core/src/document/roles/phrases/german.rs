//! German.

use crate::document::roles::role::Role::{
    self, Decision, Done, Focus, Issue, NextStep, Note, Question, RecentChange, Status, Task,
};

pub(super) const PHRASES: &[(Role, &str)] = &[
    (
        Focus,
        "woran ich gerade arbeite, woran wir gerade arbeiten, aktueller entwicklungsfokus, hauptfokus, arbeitsfokus aktuell, fokus, aktueller fokus, arbeitsfokus, aktueller arbeitsfokus, aktueller arbeitsschwerpunkt, arbeitsschwerpunkt, derzeitiger fokus, momentaner fokus, \
         schwerpunkt, aktueller schwerpunkt, aktuelle schwerpunkte, aktuelle arbeit, aktueller kontext, aktuelles ziel, aktuelle ziele, aktueller sprint, aktuelle phase, \
         woran wir arbeiten, woran gearbeitet wird, woran gerade gearbeitet wird, woran ich arbeite",
    ),
    (
        Status,
        "stand, aktueller stand, aktueller status, derzeitiger stand, projektstatus, projektstand, gesamtstatus, gesamtstand, \
         stand der dinge, aktueller zustand, zustand, stand der umsetzung",
    ),
    (
        Task,
        "aufgaben, aufgabe, offene aufgaben, aktuelle aufgaben, laufende aufgaben, aktive aufgaben, aufgabenliste, offen, noch offen, \
         offene punkte, in arbeit, in bearbeitung, in umsetzung, zu erledigen, zu tun, noch zu tun, noch zu erledigen, was noch fehlt, was fehlt, es fehlt, \
         was noch zu tun ist, was zu tun bleibt, was noch offen ist, noch zu bauen, was noch zu bauen ist, verbleibende aufgaben, verbleibende arbeit, \
         verbleibende arbeiten, restarbeiten, ausstehend, ausstehende aufgaben, laufend, laufende arbeiten, unerledigt, nicht begonnen, naechste aufgabe",
    ),
    (
        Issue,
        "probleme, bekannte probleme, offene probleme, aktuelle probleme, bekannte fehler, fehler, blockaden, blocker und probleme, hindernisse, \
         hürden, risiken, einschränkungen, bekannte einschränkungen, technische schulden, was nicht funktioniert, schwierigkeiten, \
         herausforderungen, mängel, bekannte mängel, offene fehler, blockiert, blockierer",
    ),
    (
        NextStep,
        "nächste schritte, naechste schritte, nächster schritt, die nächsten schritte, nächste aufgaben, als nächstes, als nächstes dran, ausblick, geplant, geplante arbeiten, \
         geplante funktionen, weiteres vorgehen, wie es weitergeht, wie geht es weiter, weitere schritte, anstehend, anstehende aufgaben, demnächst, später, zukünftig, \
         zukünftige arbeiten, nächste sitzung, was als nächstes kommt, fahrplan",
    ),
    (
        RecentChange,
        "zuletzt gemacht, was zuletzt geschah, letzte änderungen, jüngste änderungen, kürzliche änderungen, aktuelle änderungen, neueste änderungen, neue änderungen, änderungen, \
         letzte aenderungen, aenderungen, änderungsprotokoll, änderungshistorie, änderungsverlauf, verlauf, historie, chronik, zuletzt geändert, zuletzt erledigt, fortschritt, \
         fortschrittsprotokoll, letzte fortschritte, letzte arbeiten, letzte sitzung, neuigkeiten, aktualisierungen, protokoll, tagebuch, arbeitsprotokoll, letzte aktualisierungen",
    ),
    (
        Done,
        "erledigt, bereits erledigt, schon erledigt, abgeschlossen, fertig, fertiggestellt, umgesetzt, erreicht, erfolge, was funktioniert, was schon funktioniert, \
         was bereits funktioniert, was läuft, erledigte aufgaben, abgeschlossene aufgaben, abgeschlossene arbeiten, abgeschlossene meilensteine, \
         behobene fehler, gelöste probleme, behobene probleme, gelöst, behoben, implementiert, erreichte meilensteine",
    ),
    (
        Decision,
        "entscheidungen, entscheidung, aktive entscheidungen, aktuelle entscheidungen, getroffene entscheidungen, wichtige entscheidungen, letzte entscheidungen, \
         technische entscheidungen, architekturentscheidungen, designentscheidungen, entwurfsentscheidungen, entscheidungsprotokoll, entscheidungslog, entscheidungsverlauf, beschlüsse",
    ),
    (
        Question,
        "fragen, offene fragen, ungeklärte fragen, ungeklärt, offene entscheidungen, unklarheiten, zu klären, noch zu klären",
    ),
    (Note, "notizen, sitzungsnotizen, notizen zur sitzung, aktuelle notizen, anmerkungen, bemerkungen"),
];
