//! Italian.

use crate::document::roles::role::Role::{
    self, Decision, Done, Focus, Issue, NextStep, Note, Question, RecentChange, Status, Task,
};

pub(super) const PHRASES: &[(Role, &str)] = &[
    (
        Focus,
        "focus principale, focus di sviluppo, focus del lavoro, focus attuale, focus corrente, focus di lavoro, focus di lavoro attuale, focus del lavoro attuale, lavoro attuale, lavoro corrente, obiettivo attuale, obiettivi attuali, contesto attuale, priorità attuale, priorità attuali, priorità correnti, su cosa stiamo lavorando, sprint attuale, fase attuale",
    ),
    (
        Status,
        "stato, stato attuale, stato corrente, stato del progetto, stato di avanzamento, stato dei lavori, avanzamento, situazione attuale, situazione",
    ),
    (
        Task,
        "attività, attività in corso, attività aperte, attività correnti, attività attuali, attività rimanenti, attività da fare, elenco attività, elenco delle attività, compiti, compiti in corso, compiti aperti, compiti attuali, compiti rimanenti, in corso, da fare, cosa resta da fare, \
         cosa manca, cosa rimane, cosa resta, lavoro rimanente, lavori in corso, lavoro in corso, cosa resta da costruire, cosa rimane da fare, cosa rimane da costruire, resta da fare, ancora da fare, in lavorazione, in sviluppo, in sospeso, da completare",
    ),
    (
        Issue,
        "problemi, problema noto, problemi noti, problemi aperti, problemi attuali, bug noti, errori, errori noti, difetti noti, blocchi, bloccanti, bloccato, ostacoli, impedimenti, rischi, limitazioni note, limiti noti, limitazioni, debito tecnico, cosa non funziona, criticità, sfide",
    ),
    (
        NextStep,
        "prossimi passi, prossimo passo, passi successivi, passo successivo, prossime attività, prossime azioni, prossimi sviluppi, prossimamente, in programma, pianificato, previsto, più avanti, lavori futuri, sviluppi futuri, miglioramenti futuri, tabella di marcia, prossima sessione, e poi",
    ),
    (
        RecentChange,
        "modifiche, modifiche recenti, cambiamenti, cambiamenti recenti, ultime modifiche, ultimi cambiamenti, aggiornamenti, aggiornamenti recenti, ultimi aggiornamenti, cronologia, storico, storia, cronologia aggiornamenti, cronologia degli aggiornamenti, cronologia delle modifiche, storico modifiche, \
         registro delle modifiche, registro modifiche, ultima sessione, progressi, progressi recenti, lavoro recente, diario di bordo, novità, registro attività",
    ),
    (
        Done,
        "completato, completata, completati, completate, fatto, fatti, finito, terminati, cosa funziona, cosa funziona già, attività completate, compiti completati, lavoro completato, risultati raggiunti, traguardi raggiunti, implementati, risolto, risolti, problemi risolti, bug risolti, già fatto, obiettivi raggiunti, concluso",
    ),
    (
        Decision,
        "decisioni, decisione, decisioni attive, decisioni recenti, ultime decisioni, decisioni tecniche, decisioni prese, decisioni architetturali, decisioni di progetto, decisioni progettuali, registro delle decisioni, registro decisioni, log delle decisioni, decisioni chiave, decisioni importanti",
    ),
    (
        Question,
        "domande, domande aperte, questioni aperte, questioni in sospeso, punti aperti, dubbi, decisioni in sospeso, decisioni da prendere, da chiarire, da decidere",
    ),
    (Note, "note, note di sessione, note della sessione, appunti, osservazioni"),
];
