//! The words of headings in eleven languages, by role. Compared after normalisation: case, accents, numbers and signs
//! do not count. A phrase of several words, and one of [`WITHIN`], may stand within a longer heading.

use super::Role::{self, Decision, Done, Focus, Issue, NextStep, Note, Question, RecentChange, Status, Task};

/// Phrases of one role and one group of languages; phrases are separated by commas.
pub(super) const PHRASES: &[(Role, &str)] = &[
    // English
    (
        Focus,
        "what we're building, what we're building right now, what we're doing, what i'm doing, right now, focus, current focus, current work focus, work focus, primary focus, main focus, active focus, focus area, \
         focus areas, session focus, development focus, immediate focus, current context, active context, current work, active work, current session, \
         current phase, current sprint, active sprint, current milestone, current goal, current goals, \
         current objective, current objectives, session goal, session goals, active goals, current priority, current priorities, \
         top priorities, priorities, working on, currently working on, what we're working on, what i'm working on, \
         what we are working on, current feature, active feature, active development, current development, current effort, \
         current initiative, currently",
    ),
    (
        Status,
        "tldr, tl dr, where i am, status, state, current status, current state, project status, project state, current project state, \
         current project status, overall status, overall state, status overview, status summary, progress overview, \
         progress summary, overall progress, where we are, where things stand, current situation, implementation status, \
         development status, current progress, project health, at a glance, state of the project, \
         current position, system status, release status",
    ),
    (
        Task,
        "tasks, task, task list, ongoing, ongoing tasks, ongoing work, current tasks, current task, active, active tasks, active task, \
         open, open tasks, open items, open work, pending, pending tasks, pending work, pending items, pending features, \
         pending milestones, remaining, remaining tasks, remaining work, remaining features, remaining items, in progress, \
         work in progress, work items, wip, doing, underway, todo, todos, to do, to dos, todo list, to do list, todo items, backlog, \
         action items, checklist, task checklist, incomplete, not started, not done, not yet done, not completed, not yet completed, \
         to be completed, to be done, to be implemented, to be built, not implemented, not yet implemented, \
         yet to be done, outstanding, outstanding work, outstanding tasks, unfinished, unfinished work, what's left, \
         what is left, what remains, left to build, left to do, left to implement, still to do, features to build, in development, under development, \
         in review, current work items, high priority, medium priority, low priority, high priority tasks, priority tasks, \
         sprint tasks, sprint backlog, milestones remaining, remaining milestones, immediate tasks, missing features, todo now, must do",
    ),
    (
        Issue,
        "what doesn't, what does not, issues, issue, known issues, open issues, current issues, active issues, outstanding issues, remaining issues, \
         unresolved issues, pending issues, potential issues, critical issues, blocking issues, issues encountered, \
         issues to fix, issues to address, bugs, bug, known bugs, open bugs, bugs to fix, bug list, blockers, blocker, \
         current blockers, active blockers, blocked, blocking, blocked by, blocked on, problems, problem, known problems, current problems, risks, \
         known risks, risks and issues, limitations, known limitations, current limitations, challenges, current challenges, active challenges, \
         technical challenges, impediments, obstacles, technical debt, tech debt, known gaps, gaps, concerns, \
         errors, known errors, defects, known defects, pain points, what doesn't work, what does not work, what's not working, \
         what isn't working, what's broken, what is broken, things that are broken, not working, broken, failing, failing tests, regressions, \
         open questions issues, open issues questions, issues questions",
    ),
    (
        NextStep,
        "what to do next, next, next up, next step, next steps, next action, next actions, next task, next tasks, next priorities, next phase, \
         next session, next sprint, next milestone, next milestones, next iteration, next goals, next work, upcoming, \
         upcoming tasks, upcoming work, upcoming milestones, up next, what's next, what is next, what comes next, coming up, \
         coming next, coming soon, planned, planned work, planned features, planned improvements, planned tasks, future, future work, future plans, \
         future tasks, future features, future enhancements, future improvements, future steps, roadmap, later, soon, short term, short term goals, \
         immediate, immediate steps, immediate actions, immediate next, follow up, follow ups, followups, nice to have, plan for next, \
         where to continue, how to continue, pick up here, resume here",
    ),
    (
        RecentChange,
        "what just happened, what happened, what was done, what we did, done this session, this session, changes, recent, recent changes, recent updates, recent work, recent progress, recent activity, \
         recent modifications, recent developments, recent improvements, recent achievements, recent accomplishments, recent additions, \
         recent fixes, recent milestones, recent commits, recent events, recent sessions, recent major changes, recent code changes, latest, latest changes, latest updates, latest work, \
         latest progress, latest session, last changes, last session, last update, last updates, last completed, previous session, changes made, \
         changes this session, what changed, what's changed, what's new, changelog, change log, change history, history, \
         update history, updates, update log, version history, progress, progress log, progress history, work log, work history, activity, \
         activity log, session log, session logs, session history, session summary, development log, development history, dev log, timeline, \
         log, journal, log entries, today, yesterday, this week, news, work completed this session",
    ),
    (
        Done,
        "done, done so far, completed, complete, completed work, completed tasks, finished, works, working, what works, \
         what's working, what is working, what currently works, what's done, what is done, what has been done, \
         what's been done, what's complete, what's completed, what's built, what has been built, what we built, accomplished, \
         accomplishments, achievements, achieved, delivered, shipped, implemented, implemented features, working features, released, \
         closed, resolved, fixed, resolved issues, fixed issues, closed issues, fixed bugs, resolved bugs, bugs fixed, issues resolved, issues fixed, \
         recently resolved, recently fixed, recently completed, completed milestones, milestones reached, milestones achieved, already implemented, \
         already done, work done, work completed, tasks done, tasks completed, features completed, wins, successes",
    ),
    (
        Decision,
        "decisions, decision, decision log, decisions log, decision history, decision record, decision records, adr, adrs, \
         active decisions, recent decisions, latest decisions, current decisions, key decisions, major decisions, important decisions, \
         technical decisions, design decisions, architecture decisions, architectural decisions, project decisions, past decisions, \
         implementation decisions, product decisions, decisions made, decisions taken, decisions and considerations, technical choices, design choices, \
         key technical decisions, architecture decision records, technology decisions, agreed",
    ),
    (
        Question,
        "questions, question, open questions, unresolved questions, outstanding questions, pending questions, questions to answer, \
         questions to resolve, questions for the user, questions for the team, unknowns, clarifications, clarifications needed, \
         open points, open decisions, pending decisions, decisions pending, decisions needed, decisions to make, undecided, uncertainties, \
         to be decided, to clarify",
    ),
    (Note, "notes, session notes, current session notes, current notes, observations, remarks, scratchpad"),
    // German
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
    // French
    (
        Focus,
        "ce sur quoi je travaille, ce sur quoi nous travaillons, focus de travail, focus de travail actuel, focus de travail en cours, focus principal, travail actuel, focalisation actuelle, concentration actuelle, focus actuel, axe actuel, axe de travail, axe de travail actuel, objectif actuel, objectifs actuels, objectif du moment, priorité actuelle, \
         priorités actuelles, priorité du moment, sujet en cours, contexte actuel, focus du moment, point focal, point focal actuel, cible actuelle, sprint en cours, chantier actuel, chantier en cours",
    ),
    (
        Status,
        "état, état actuel, statut, statut actuel, état du projet, statut du projet, état des lieux, avancement, état d'avancement, situation actuelle, où en est-on",
    ),
    (
        Task,
        "tâches, tâche, tâches en cours, tâches ouvertes, tâches actuelles, tâches restantes, tâches à faire, liste des tâches, tâche en cours, en cours, à faire, reste à faire, \
         ce qui reste à faire, ce qu'il reste à faire, ce qui reste à construire, ce qui reste à développer, travail en cours, travaux en cours, travail restant, travaux restants, \
         en attente, en développement, à terminer, restant, chantiers en cours",
    ),
    (
        Issue,
        "points d'attention, points de vigilance, bogues connus, problèmes identifiés, problèmes, problème, problèmes connus, problèmes ouverts, problèmes actuels, problèmes en cours, bugs connus, anomalies, anomalies connues, blocages, blocage, points bloquants, points de blocage, \
         bloqueurs, bloqué, limitations connues, limites connues, limites, risques, dette technique, ce qui ne fonctionne pas, ce qui ne marche pas, difficultés, obstacles connus, défauts connus, erreurs connues, défis actuels",
    ),
    (
        NextStep,
        "prochaines étapes, prochaine étape, étapes suivantes, étape suivante, prochaines actions, prochaines tâches, à venir, suite, la suite, suite à donner, feuille de route, prévu, planifié, \
         plus tard, améliorations futures, évolutions futures, évolutions prévues, prochaine session, et ensuite",
    ),
    (
        RecentChange,
        "changements récents, changements, modifications, modifications récentes, dernières modifications, derniers changements, historique, historique des mises à jour, \
         historique des modifications, historique des changements, journal des modifications, journal des mises à jour, mises à jour, mises à jour récentes, dernières mises à jour, avancées récentes, avancement récent, \
         progrès récents, progression, dernière session, évolutions récentes, journal de progression, journal de bord, travaux récents, journal d'avancement, nouveautés",
    ),
    (
        Done,
        "terminé, terminés, terminée, terminées, fait, faits, ce qui fonctionne, ce qui marche, ce qui est fait, ce qui a été fait, tâches terminées, tâches accomplies, travail terminé, travaux terminés, accompli, \
         réalisé, réalisés, réalisations, achevé, fini, livré, résolu, résolus, problèmes résolus, bugs corrigés, déjà fait, fonctionnalités terminées, jalons atteints, implémenté, corrigé",
    ),
    (
        Decision,
        "décisions, décision, décisions actives, décisions récentes, décisions techniques, décisions prises, décisions en vigueur, décisions d'architecture, décisions de conception, dernières décisions, \
         journal des décisions, registre des décisions, décisions importantes, décisions clés, choix techniques",
    ),
    (
        Question,
        "questions ouvertes, questions en suspens, questions en attente, points à clarifier, points ouverts, à clarifier, décisions en attente, à décider",
    ),
    (Note, "notes de session, notes de la session, remarques"),
    // Spanish
    (
        Focus,
        "en qué estoy trabajando, enfoque de trabajo, enfoque principal, foco principal, enfoque, enfoque actual, foco, foco actual, foco de trabajo, foco de trabajo actual, enfoque de trabajo actual, enfoque del trabajo actual, objetivo actual, objetivos actuales, trabajo actual, contexto actual, \
         prioridad actual, prioridades actuales, en qué estamos trabajando, sprint actual, fase actual",
    ),
    (
        Status,
        "estado, estado actual, estado del proyecto, estado general, situación actual, estado de implementación, resumen del estado",
    ),
    (
        Task,
        "tareas, tarea, tareas en curso, tareas pendientes, tareas actuales, tareas abiertas, tareas activas, tareas restantes, tareas por hacer, lista de tareas, tarea actual, en curso, en progreso, en proceso, en desarrollo, \
         pendiente, pendientes, por hacer, lo que falta, qué falta, lo que falta por construir, qué falta por construir, lo que falta por hacer, trabajo pendiente, trabajo en curso, trabajo restante, \
         lo que queda por hacer, qué queda por hacer, lo que queda por construir, qué queda por construir, falta por hacer, sin terminar",
    ),
    (
        Issue,
        "problemas, problema, problemas conocidos, problemas abiertos, problemas actuales, errores, errores conocidos, fallos conocidos, fallos, bloqueos, bloqueo, bloqueadores, bloqueantes, bloqueado, impedimentos, \
         incidencias, incidencias conocidas, incidencias abiertas, riesgos, limitaciones, limitaciones conocidas, deuda técnica, lo que no funciona, qué no funciona, bugs conocidos, desafíos, obstáculos",
    ),
    (
        NextStep,
        "próximos pasos, próximo paso, siguientes pasos, siguiente paso, pasos siguientes, próximas tareas, próximas acciones, próximas etapas, siguiente, a continuación, próximamente, hoja de ruta, planificado, planeado, \
         futuro, trabajo futuro, mejoras futuras, más adelante, qué sigue, lo que sigue, próxima sesión",
    ),
    (
        RecentChange,
        "cambios, cambios recientes, últimos cambios, actualizaciones, actualizaciones recientes, últimas actualizaciones, historial, historial de cambios, historial de actualizaciones, \
         registro de cambios, registro de progreso, registro, avances, avances recientes, últimos avances, última sesión, progreso, progreso reciente, modificaciones recientes, novedades, bitácora, trabajo reciente, diario",
    ),
    (
        Done,
        "completado, completada, completados, completadas, hecho, hechos, hechas, terminado, terminada, terminados, terminadas, finalizado, finalizadas, listo, lo que funciona, qué funciona, lo que ya funciona, tareas completadas, trabajo completado, \
         tareas terminadas, tareas hechas, logros, hitos completados, implementado, resuelto, resueltos, problemas resueltos, errores corregidos, ya hecho, lo hecho",
    ),
    (
        Decision,
        "decisiones, decisión, decisiones activas, decisiones recientes, últimas decisiones, decisiones técnicas, decisiones tomadas, decisiones de arquitectura, decisiones arquitectónicas, decisiones de diseño, \
         registro de decisiones, bitácora de decisiones, decisiones importantes, decisiones clave",
    ),
    (
        Question,
        "preguntas, preguntas abiertas, preguntas pendientes, dudas, dudas abiertas, cuestiones abiertas, decisiones pendientes, por aclarar, por decidir",
    ),
    (Note, "notas, notas de sesión, notas de la sesión, observaciones"),
    // Portuguese
    (
        Focus,
        "no que estou trabalhando, o que estou fazendo, foco principal, foco do trabalho atual, foco atual, foco do trabalho, foco de trabalho, foco de trabalho atual, foco atual do trabalho, trabalho atual, objetivo atual, objetivos atuais, contexto atual, prioridade atual, prioridades atuais, \
         no que estamos trabalhando, em que estamos a trabalhar, sprint atual, fase atual",
    ),
    (
        Status,
        "status atual, status do projeto, estado atual, estado do projeto, situação, situação atual, situação do projeto, andamento, andamento do projeto, visão geral do status",
    ),
    (
        Task,
        "tarefas, tarefa, tarefas em andamento, tarefas em curso, tarefas pendentes, tarefas atuais, tarefas abertas, tarefas em aberto, tarefas ativas, tarefas restantes, lista de tarefas, tarefa atual, em andamento, em desenvolvimento, \
         a fazer, para fazer, por fazer, pendências, o que falta, o que falta construir, o que falta fazer, o que falta implementar, o que resta construir, o que resta fazer, o que ainda falta, falta fazer, trabalho restante, trabalho pendente, trabalho em andamento, em aberto, não iniciado",
    ),
    (
        Issue,
        "problemas conhecidos, problemas em aberto, problemas atuais, erros, erros conhecidos, falhas conhecidas, bloqueios, impedimento, bugs conhecidos, riscos, limitações, limitações conhecidas, dívida técnica, débito técnico, débitos técnicos, \
         o que não funciona, questões conhecidas, desafios, obstáculos conhecidos",
    ),
    (
        NextStep,
        "próximos passos, próximo passo, próximas etapas, próxima etapa, passos seguintes, próximas tarefas, próximas ações, a seguir, em breve, planejado, roteiro, trabalhos futuros, trabalho futuro, melhorias futuras, mais tarde, o que vem a seguir, próxima sessão",
    ),
    (
        RecentChange,
        "mudanças, mudanças recentes, alterações, alterações recentes, últimas mudanças, últimas alterações, atualizações, atualizações recentes, últimas atualizações, histórico, histórico de atualizações, histórico de mudanças, histórico de alterações, \
         registro de alterações, registo de alterações, registro de mudanças, registro de progresso, última sessão, progresso, progresso recente, avanços recentes, diário, diário de bordo, trabalho recente, novidades",
    ),
    (
        Done,
        "concluído, concluída, concluídos, concluídas, feito, feitos, feitas, finalizada, finalizados, pronto, prontos, o que funciona, o que já funciona, o que está funcionando, tarefas concluídas, tarefas finalizadas, trabalho concluído, conquistas, marcos concluídos, resolvido, resolvidos, \
         problemas resolvidos, erros corrigidos, entregue, entregues, já feito, o que foi feito",
    ),
    (
        Decision,
        "decisões, decisão, decisões ativas, decisões recentes, últimas decisões, decisões técnicas, decisões tomadas, decisões de arquitetura, decisões arquiteturais, decisões de design, decisões de projeto, registro de decisões, registo de decisões, log de decisões, decisões importantes, decisões-chave",
    ),
    (
        Question,
        "perguntas, perguntas abertas, perguntas em aberto, questões em aberto, questões abertas, questões pendentes, dúvidas, dúvidas em aberto, decisões pendentes, a decidir, a esclarecer",
    ),
    (Note, "notas da sessão, notas de sessão, anotações, anotações da sessão, observações"),
    // Italian
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
    // Russian
    (
        Focus,
        "над чем работаю, что делаем сейчас, что делаю сейчас, фокус, текущий фокус, текущий фокус работы, фокус работы, основной фокус, текущая работа, текущая цель, текущие цели, текущий контекст, текущий спринт, текущий этап, текущий приоритет, текущие приоритеты, над чем работаем, над чем идет работа, приоритеты",
    ),
    (
        Status,
        "статус, текущий статус, состояние, текущее состояние, статус проекта, состояние проекта, общий статус, общее состояние, текущая ситуация, общий прогресс",
    ),
    (
        Task,
        "задачи, задача, текущие задачи, текущая задача, открытые задачи, активные задачи, оставшиеся задачи, незавершенные задачи, список задач, в работе, сейчас в работе, в процессе, в разработке, выполняется, сделать, нужно сделать, надо сделать, осталось сделать, что осталось, что осталось сделать, \
         что осталось построить, что осталось реализовать, что нужно сделать, что предстоит сделать, осталось, к выполнению, оставшаяся работа, невыполнено, не сделано, не начато, бэклог, беклог, предстоит",
    ),
    (
        Issue,
        "проблемы, проблема, известные проблемы, открытые проблемы, текущие проблемы, известные ошибки, ошибки, баги, известные баги, блокеры, блокер, блокировки, заблокировано, препятствия, риски, ограничения, известные ограничения, технический долг, техдолг, что не работает, не работает, сложности",
    ),
    (
        NextStep,
        "следующие шаги, следующий шаг, дальнейшие шаги, дальнейшие действия, ближайшие шаги, ближайшие задачи, ближайшие планы, что дальше, далее, дальше, планы, дальнейшие планы, запланировано, следующие задачи, следующие действия, дорожная карта, на будущее, будущие улучшения, план действий, потом",
    ),
    (
        RecentChange,
        "изменения, последние изменения, недавние изменения, история, история изменений, история обновлений, журнал изменений, журнал, обновления, последние обновления, последняя сессия, прошлая сессия, прогресс, недавний прогресс, последний прогресс, журнал прогресса, журнал работ, хронология, хроника, последние действия, что изменилось",
    ),
    (
        Done,
        "выполнено, сделано, завершено, готово, решено, исправлено, реализовано, что работает, что уже работает, что сделано, что уже сделано, что готово, выполненные задачи, завершенные задачи, завершенные работы, выполненная работа, достижения, решенные проблемы, исправленные ошибки, достигнуто",
    ),
    (
        Decision,
        "решения, решение, активные решения, принятые решения, последние решения, недавние решения, текущие решения, технические решения, архитектурные решения, проектные решения, ключевые решения, важные решения, журнал решений, лог решений",
    ),
    (
        Question,
        "вопросы, открытые вопросы, нерешенные вопросы, вопросы к обсуждению, на уточнение, требует уточнения, нерешенное",
    ),
    (Note, "заметки, заметки сессии, заметки текущей сессии, примечания, наблюдения"),
    // Polish
    (
        Focus,
        "fokus pracy, bieżący fokus, aktualny fokus, obecny fokus, obecne skupienie, bieżące skupienie, aktualne skupienie, aktualny obszar pracy, bieżące prace, aktualne prace, obecne prace, bieżąca praca, aktualna praca, bieżący cel, aktualny cel, obecny cel, aktualne cele, bieżące cele, bieżący kontekst, aktualny kontekst, nad czym pracujemy, \
         aktualny priorytet, aktualne priorytety, priorytety, aktualny sprint, bieżący sprint",
    ),
    (
        Status,
        "stan, stan projektu, status projektu, bieżący stan, aktualny stan, obecny stan, stan obecny, stan aktualny, aktualny status, bieżący status, stan prac, ogólny status",
    ),
    (
        Task,
        "zadania, zadanie, bieżące zadania, aktualne zadania, otwarte zadania, aktywne zadania, pozostałe zadania, zadania w toku, zadania do wykonania, lista zadań, bieżące zadanie, w toku, w trakcie, w trakcie realizacji, w realizacji, do zrobienia, pozostało do zrobienia, co zostało do zrobienia, co pozostało do zrobienia, co pozostało, co zostało, \
         co zostało do zbudowania, co pozostało do zbudowania, pozostała praca, pozostałe prace, prace w toku, niezrobione, nierozpoczęte, oczekujące, do wykonania, zaległe",
    ),
    (
        Issue,
        "problemy, znane problemy, otwarte problemy, aktualne problemy, bieżące problemy, znane błędy, błędy, blokady, blokery, blokery i problemy, zablokowane, przeszkody, ryzyka, ograniczenia, znane ograniczenia, dług techniczny, co nie działa, nie działa, trudności, wyzwania",
    ),
    (
        NextStep,
        "następne kroki, następny krok, kolejne kroki, kolejny krok, dalsze kroki, najbliższe kroki, najbliższe plany, co dalej, następne zadania, kolejne zadania, nadchodzące zadania, planowane, plany, zaplanowane, planowane prace, plan działania, dalsze prace, w przyszłości, mapa drogowa, później, następna sesja",
    ),
    (
        RecentChange,
        "zmiany, ostatnie zmiany, niedawne zmiany, najnowsze zmiany, historia, historia zmian, historia aktualizacji, dziennik zmian, rejestr zmian, aktualizacje, ostatnie aktualizacje, ostatnia sesja, poprzednia sesja, postęp, postępy, ostatnie postępy, dziennik postępów, dziennik, dziennik prac, ostatnie prace, nowości, chronologia",
    ),
    (
        Done,
        "zrobione, ukończone, zakończone, wykonane, gotowe, skończone, osiągnięte, co działa, co już działa, co zrobiono, co zostało zrobione, ukończone zadania, zakończone zadania, wykonane zadania, zrobione zadania, zakończone prace, ukończone prace, osiągnięcia, zrealizowane, wdrożone, rozwiązane, rozwiązane problemy, naprawione, naprawione błędy",
    ),
    (
        Decision,
        "decyzje, decyzja, aktywne decyzje, podjęte decyzje, ostatnie decyzje, aktualne decyzje, decyzje techniczne, decyzje architektoniczne, decyzje projektowe, kluczowe decyzje, ważne decyzje, dziennik decyzji, rejestr decyzji",
    ),
    (
        Question,
        "pytania, otwarte pytania, pytania otwarte, nierozwiązane pytania, otwarte kwestie, kwestie otwarte, nierozstrzygnięte kwestie, do wyjaśnienia, do ustalenia, do decyzji, wątpliwości",
    ),
    (Note, "notatki, notatki z sesji, notatki sesji, notatki z bieżącej sesji, uwagi"),
    // Chinese, simplified and traditional
    (
        Focus,
        "正在做的事, 正在做什么, 目前在做, 当前正在做, 当前开发重点, 当前焦点, 当前重点, 当前工作重点, 当前工作焦点, 工作重点, 工作焦点, 当前工作, 当前关注点, 当前关注, 当前目标, 当前上下文, 目前重点, 目前工作, 现阶段重点, 当前阶段, 当前迭代, 当前冲刺, 重点, 焦点, \
         當前焦點, 當前重點, 當前工作重點, 工作重點, 工作焦點, 當前工作, 目前焦點, 目前重點, 目前工作重點, 目前工作焦點, 當前目標, 目前目標, 目前階段, 當前階段",
    ),
    (
        Status,
        "状态, 当前状态, 目前状态, 项目状态, 项目现状, 现状, 当前情况, 整体进度, 总体进度, 当前进度, 项目进度, 整体状态, 总体状态, 狀態, 目前狀態, 當前狀態, 專案狀態, 項目狀態, 現狀, 目前進度, 整體進度, 當前進度, 進度概覽, 进度概览, 进度总览",
    ),
    (
        Task,
        "任务, 当前任务, 正在进行的任务, 进行中的任务, 进行中任务, 进行中, 正在进行, 进行中的工作, 待办, 待办事项, 待办任务, 待办清单, 待完成, 待完成任务, 待完成的工作, 未完成, 未完成任务, 未完成的任务, 未完成事项, 未完成工作, 待处理, 待处理任务, 待处理事项, 剩余工作, 剩余任务, 剩余功能, 剩余的工作, 待构建, 待构建内容, 待开发, 待开发功能, \
         待实现, 待实现功能, 还需构建, 还需完成, 还需要做, 还需构建的内容, 待建设, 尚未完成, 未开始, 开发中, 任务列表, 任务清单, 需要完成, 活跃任务, 任務, 當前任務, 目前任務, 進行中, 進行中的任務, 進行中的工作, 待辦, 待辦事項, 待辦清單, 待處理, 剩餘工作, 剩餘任務, 待開發, 待完成事項, 任務列表, 任務清單, 尚待完成, 待完成項目",
    ),
    (
        Issue,
        "问题, 已知问题, 当前问题, 遗留问题, 现存问题, 存在的问题, 存在问题, 待解决问题, 待解决的问题, 未解决问题, 未解决的问题, 缺陷, 已知缺陷, 阻塞, 阻塞项, 阻塞问题, 阻塞点, 当前阻塞, 障碍, 卡点, 风险, 风险与问题, 限制, 已知限制, 已知的限制, 技术债务, 技术债, 已知错误, 错误, 挑战, 当前挑战, 不能工作的部分, \
         問題, 已知問題, 目前問題, 當前問題, 待解決問題, 未解決問題, 阻礙, 障礙, 風險, 限制事項, 技術債, 技術債務, 挑戰",
    ),
    (
        NextStep,
        "下一步, 下一步计划, 下一步工作, 下一步行动, 下一步骤, 下一步任务, 下一阶段, 下一步操作, 后续步骤, 后续计划, 后续工作, 后续任务, 接下来, 接下来的步骤, 接下来的工作, 接下来的任务, 接下来要做, 未来计划, 未来工作, 近期计划, 计划, 计划中, 规划, 路线图, 待规划, \
         下一步計劃, 下一步計畫, 下一階段, 後續步驟, 後續計劃, 後續工作, 後續計畫, 接下來, 接下來的步驟, 未來計劃, 未來計畫, 計劃中, 計畫中, 路線圖",
    ),
    (
        RecentChange,
        "变更, 最近更改, 最近的更改, 最近变更, 最近的变更, 最近变化, 最近的变化, 最近改动, 最近更新, 最近的更新, 最近修改, 最近的修改, 最近工作, 最近完成, 最近的工作, 最近进展, 最新进展, 最新变更, 最新更新, 近期变更, 近期更改, 近期更新, 近期进展, 近期变化, 近期工作, 更新, 更新历史, 更新记录, 更新日志, 变更历史, 变更记录, 变更日志, 修改记录, 历史, 历史记录, 进展, 进展记录, 进度, 进度记录, 进度日志, 开发日志, 工作日志, 工作记录, 上次会话, 日志, \
         最近變更, 最近的變更, 最近變更內容, 最近更動, 最近進展, 近期變更, 近期進展, 更新歷史, 更新紀錄, 更新記錄, 變更紀錄, 變更記錄, 變更歷史, 歷史, 進度, 進展, 開發日誌, 工作日誌, 更新日誌",
    ),
    (
        Done,
        "完成, 已完成, 已经完成, 已完成任务, 已完成的任务, 已完成工作, 已完成的工作, 已完成功能, 已完成的功能, 已完成事项, 完成的工作, 完成情况, 已实现, 已实现功能, 已解决, 已解决问题, 已解决的问题, 已修复, 已修复问题, 可用功能, 当前可用, 有效功能, 正常工作的部分, 可以工作的部分, 能正常工作的部分, 已上线, 成果, 成就, 里程碑成果, 已完成里程碑, \
         已完成任務, 已完成的任務, 已完成的工作, 已完成項目, 已實現, 已解決, 已解決問題, 已修復, 已上線, 正常運作, 可運作的部分, 可運作功能, 已經完成",
    ),
    (
        Decision,
        "决策, 决定, 决策内容, 决策记录, 决策日志, 当前决策, 活跃决策, 活动决策, 最近决策, 最近的决策, 近期决策, 技术决策, 架构决策, 设计决策, 重要决策, 关键决策, 已做决策, 有效决策, 技术选型, 决策与考虑, 决策和考量, \
         決策, 決定, 決策內容, 決策紀錄, 決策記錄, 決策日誌, 最近決策, 近期決策, 技術決策, 架構決策, 設計決策, 重要決策, 關鍵決策, 有效決策, 技術選型",
    ),
    (
        Question,
        "开放问题, 开放性问题, 疑问, 待确认, 待确认问题, 待确认事项, 待讨论, 待定, 待定问题, 待决策, 待决定, 悬而未决, 悬而未决的问题, 開放問題, 待確認, 待確認事項, 待討論, 待決定, 疑問, 待澄清",
    ),
    (Note, "备注, 笔记, 会话笔记, 会话记录, 当前会话笔记, 会话备注, 備註, 筆記, 會話筆記"),
    // Japanese
    (
        Focus,
        "今やっていること, 今取り組んでいること, 現在やっていること, フォーカス, 現在のフォーカス, 現在の焦点, 現在の作業, 現在の作業フォーカス, 現在の作業の焦点, 現在の重点, 現在の作業内容, 作業フォーカス, 作業の焦点, 重点, 焦点, 現在の目標, 現在のコンテキスト, 現在取り組んでいること, 取り組み中のこと, 現在の注力, 現在の注力点, 現在の優先事項, 優先事項, 現在のフェーズ, 現在のスプリント",
    ),
    (
        Status,
        "ステータス, 状態, 状況, 現状, 現在の状況, 現在の状態, 現在のステータス, プロジェクトの状態, プロジェクトの状況, プロジェクト状況, プロジェクトステータス, 進捗状況, 全体の進捗, 全体の状況, 全体状況, 進捗概要",
    ),
    (
        Task,
        "タスク, 進行中のタスク, 現在のタスク, アクティブなタスク, 未完了のタスク, 未完了タスク, 残タスク, 残りのタスク, タスク一覧, タスクリスト, 進行中, 進行中の作業, 作業中, 実装中, 対応中, 開発中, 着手中, 未完了, 未着手, 未実装, 未対応, やること, やることリスト, やるべきこと, 残りの作業, 残作業, 残件, 残っている作業, 残りの実装, これから作るもの, 構築が必要なもの, これから実装するもの, 残りの構築項目, オープンタスク, バックログ, 保留中, 未完成, 作るべきもの",
    ),
    (
        Issue,
        "問題, 問題点, 課題, 既知の問題, 既知の問題点, 既知の課題, 既知の不具合, 既知のバグ, 現在の課題, 現在の問題, 未解決の問題, 未解決の課題, 不具合, バグ, ブロッカー, 阻害要因, 障害, リスク, 制限事項, 既知の制限, 制約事項, 技術的負債, 動かないもの, 動作しないもの, うまくいっていないこと, 懸念点, 懸念事項",
    ),
    (
        NextStep,
        "次にすること, 次, 次のステップ, 次の手順, 次のアクション, 次の作業, 次のタスク, 次にやること, 次に行うこと, 次のマイルストーン, 次回, 次回の作業, 次回やること, 次フェーズ, 今後, 今後の予定, 今後の作業, 今後の計画, 今後の対応, 今後のタスク, 今後の課題, 予定, ネクストステップ, 次ステップ, ロードマップ, 計画, 将来の計画",
    ),
    (
        RecentChange,
        "変更, 変更点, 最近の変更, 最近の変更点, 直近の変更, 直近の変更点, 最新の変更, 最近の更新, 直近の更新, 最新の更新, 最近の作業, 直近の作業, 最近の進捗, 直近の進捗, 最近の成果, 変更履歴, 更新履歴, 履歴, 作業履歴, 作業ログ, 更新ログ, 進捗ログ, 変更ログ, 進捗, 前回のセッション, 前回の作業, 更新, 更新情報, 開発ログ, 作業記録, 日誌",
    ),
    (
        Done,
        "完了, 完了済み, 完了したタスク, 完了したこと, 完了した作業, 完了タスク, 完了事項, 完了した機能, 動作しているもの, 動いているもの, 動作するもの, 動作する機能, 動作中の機能, 機能しているもの, うまくいっていること, できていること, 終わったこと, 実装済み, 実装済みの機能, 実装済み機能, 達成, 達成事項, 解決済み, 解決済みの問題, 修正済み, 対応済み, 成果, リリース済み",
    ),
    (
        Decision,
        "決定, 決定事項, 意思決定, 意思決定ログ, 意思決定の記録, 意思決定記録, 決定内容, 決定ログ, 決定の記録, 決定記録, 最近の決定, 最近の決定事項, 直近の決定, 技術的決定, 技術的な決定, 技術的な意思決定, 設計判断, 設計上の決定, 設計決定, アクティブな決定, アクティブな決定事項, アーキテクチャ決定, 重要な決定, 主な決定, 主要な決定, 判断, 技術選定",
    ),
    (
        Question,
        "質問, 疑問, 疑問点, 不明点, 未解決の質問, 未解決の疑問, オープンな質問, オープンクエスチョン, 未決事項, 未決定事項, 検討事項, 検討中, 確認事項, 要確認, 要検討, 保留事項",
    ),
    (Note, "メモ, ノート, セッションノート, セッションメモ, 現在のセッションノート, 備考, 補足"),
    // Korean
    (
        Focus,
        "지금 하는 일, 현재 하는 일, 하고 있는 일, 포커스, 초점, 현재 초점, 현재 작업 초점, 현재 포커스, 현재 작업 포커스, 현재 집중, 현재 집중 사항, 현재 집중 영역, 현재 중점, 현재 작업, 현재 작업 내용, 작업 초점, 현재 목표, 현재 컨텍스트, 현재 단계, 현재 스프린트, 우선순위, 현재 우선순위",
    ),
    (
        Status,
        "상태, 현황, 현재 상태, 현재 상황, 프로젝트 상태, 프로젝트 현황, 진행 상황, 진행 현황, 진행 상태, 전체 진행 상황, 전체 상태, 현재 진행 상황",
    ),
    (
        Task,
        "작업, 과제, 태스크, 진행 중인 작업, 현재 과제, 현재 태스크, 활성 작업, 열린 작업, 진행 중, 진행중, 개발 중, 작업 중, 할 일, 할 일 목록, 해야 할 일, 해야 할 작업, 남은 작업, 남은 일, 남은 할 일, 남은 기능, 남은 구현, 미완료, 미완료 작업, 미완성, 미구현, 작업 목록, 대기 중, 대기 중인 작업, 시작 전, 백로그, 구축할 것, 구현해야 할 것, 남은 구축 항목, 앞으로 만들 것",
    ),
    (
        Issue,
        "문제, 문제점, 이슈, 버그, 알려진 문제, 알려진 문제점, 알려진 이슈, 알려진 버그, 현재 문제, 현재 이슈, 미해결 문제, 미해결 이슈, 해결해야 할 문제, 블로커, 차단 요소, 차단 사항, 장애물, 장애, 위험, 위험 요소, 리스크, 제한 사항, 알려진 제한 사항, 한계, 기술 부채, 작동하지 않는 것, 동작하지 않는 것, 도전 과제",
    ),
    (
        NextStep,
        "다음에 할 일, 다음, 다음 단계, 다음 작업, 다음 할 일, 다음 계획, 다음 과제, 다음 세션, 다음 마일스톤, 향후 계획, 향후 작업, 향후 과제, 향후 개선, 이후 작업, 이후 계획, 앞으로 할 일, 앞으로의 계획, 계획, 예정, 예정된 작업, 로드맵",
    ),
    (
        RecentChange,
        "최근에 한 일, 최근 한 일, 변경 사항, 최근 변경, 최근 변경 사항, 최근 변경 내용, 최근 변경 내역, 최신 변경 사항, 최근 업데이트, 최근 수정, 최근 수정 사항, 최근 작업, 최근 작업 내용, 최근 진행, 최근 진행 상황, 최근 진행 사항, 최근 성과, 변경 이력, 변경 내역, 변경 로그, 변경 기록, 업데이트, 업데이트 내역, 업데이트 이력, 업데이트 기록, 이력, 기록, 진행 기록, 작업 로그, 작업 이력, 작업 기록, 지난 세션, 이전 세션, 개발 로그, 진행 로그, 작업 일지",
    ),
    (
        Done,
        "완료, 완료됨, 완료된 작업, 완료한 작업, 완료된 것, 완료된 기능, 완료 사항, 완료 항목, 완료된 항목, 완료된 마일스톤, 작동하는 것, 작동하는 기능, 동작하는 것, 동작하는 기능, 잘 작동하는 것, 현재 작동하는 것, 구현 완료, 구현됨, 구현된 기능, 해결됨, 해결된 문제, 해결된 이슈, 수정됨, 수정된 버그, 달성, 달성 사항, 성과",
    ),
    (
        Decision,
        "결정, 결정 사항, 의사결정, 의사 결정, 의사결정 로그, 의사결정 기록, 결정 내용, 최근 결정, 최근 결정 사항, 최근 의사결정, 기술 결정, 기술적 결정, 기술적 결정 사항, 주요 결정, 주요 결정 사항, 중요한 결정, 활성 결정, 활성 결정 사항, 아키텍처 결정, 설계 결정, 설계 결정 사항, 결정 로그, 결정 기록",
    ),
    (
        Question,
        "질문, 미해결 질문, 열린 질문, 남은 질문, 확인 필요, 확인 필요 사항, 확인 사항, 미결 사항, 미결정 사항, 논의 필요, 논의 사항, 검토 필요, 궁금한 점",
    ),
    (Note, "메모, 노트, 세션 노트, 세션 메모, 현재 세션 노트, 비고, 참고 사항"),
];

/// Single words that decide a heading also where they stand among others.
pub(super) const WITHIN: &[&str] = &[
    "completed",
    "resolved",
    "upcoming",
    "backlog",
    "blockers",
    "roadmap",
    "accomplishments",
    "achievements",
    "changelog",
    "todo",
    "todos",
    "bugs",
    "blocages",
    "blockaden",
    "projektstatus",
    "blokery",
    "блокеры",
    "бэклог",
    "выполнено",
    "завершено",
];

/// Headings with one of these words are about how things are written or were once, unless the words are in the table.
pub(super) const NOT_NOW: &[&str] = &[
    "archive",
    "archived",
    "template",
    "templates",
    "example",
    "examples",
    "legend",
    "format",
    "guidelines",
    "guide",
    "instructions",
    "convention",
    "conventions",
    "policy",
    "rules",
    "workflow",
    "workflows",
    "process",
    "how",
    "archiv",
    "vorlage",
    "legende",
    "modèle",
    "légende",
    "plantilla",
    "leyenda",
    "modelo",
    "legenda",
    "archivio",
    "archivo",
    "arquivo",
    "архив",
    "шаблон",
    "легенда",
    "archiwum",
    "szablon",
    "归档",
    "模板",
    "图例",
    "存档",
    "アーカイブ",
    "テンプレート",
    "凡例",
    "보관",
    "템플릿",
    "범례",
];

/// Words for a state of work: in brackets or behind a dash they say what the section holds.
pub(super) const STATES: &[(Role, &str)] = &[
    (
        Done,
        "done, complete, completed, finished, resolved, fixed, closed, shipped, released, all done, 100, erledigt, abgeschlossen, fertig, behoben, gelöst, \
         terminé, terminée, fait, résolu, completado, completada, hecho, resuelto, concluído, concluída, feito, resolvido, completato, completata, \
         fatto, risolto, выполнено, готово, завершено, завершена, решено, исправлено, ukończone, ukończona, zakończone, zrobione, rozwiązane, gotowe, 已完成, 完成, 已解决, 已修复, 已解決, \
         完了, 完了済み, 解決済み, 完成, 완료, 완료됨, 해결됨",
    ),
    (
        Task,
        "in progress, wip, ongoing, current, active, started, todo, to do, pending, not started, open, in arbeit, laufend, offen, läuft, en cours, à faire, en curso, \
         en progreso, pendiente, em andamento, pendente, a fazer, in corso, da fare, в работе, в процессе, текущий, текущая, w toku, w trakcie, do zrobienia, 进行中, 進行中, 待办, 未开始, 作業中, 未着手, \
         진행 중, 진행중, 대기",
    ),
    (
        NextStep,
        "next, up next, upcoming, planned, future, geplant, als nächstes, prévu, à venir, planificado, próximo, planejado, pianificato, запланировано, planowane, 计划中, 下一步, 計画中, 予定, 예정",
    ),
];

/// Titles of parts of a decision's record, which name no decision.
pub(super) const STRUCTURE: &str = "decision, decisions, the decision, rationale, reason, reasons, reasoning, why, implementation, implementation details, \
    implementation notes, details, context, background, problem, problem statement, consequences, consequence, impact, impacts, implications, outcome, result, results, alternatives, \
    alternatives considered, considered alternatives, considered options, options, options considered, pros, cons, pros and cons, trade offs, tradeoffs, status, date, author, deciders, decision drivers, decision outcome, \
    notes, references, links, related, related decisions, summary, description, next steps, action items, code, example, examples, validation, compliance, positive, negative, risks, mitigation, \
    migration, scope, motivation, evidence, follow up, template, format, new decision, title, overview, table of contents, contents, index, legend, drivers, assumptions, requirements, constraints, solution, proposed solution, \
    entscheidung, begründung, grund, gründe, warum, umsetzung, umsetzungsdetails, details zur umsetzung, implementierung, implementierungsdetails, kontext, hintergrund, problemstellung, folgen, konsequenzen, auswirkungen, alternativen, \
    betrachtete alternativen, geprüfte alternativen, optionen, vor und nachteile, vorteile, nachteile, datum, autor, ergebnis, zusammenfassung, beschreibung, verweise, vorlage, inhalt, motivation, lösung, \
    décision, justification, raison, raisons, pourquoi, mise en œuvre, détails d'implémentation, détails de mise en œuvre, détails, contexte, problème, conséquences, impacts, alternatives envisagées, alternatives considérées, options envisagées, avantages, inconvénients, \
    avantages et inconvénients, statut, auteur, résultat, résumé, références, motivation, modèle, \
    decisión, justificación, razón, razones, por qué, motivo, implementación, detalles de implementación, detalles, contexto, problema, consecuencias, impacto, alternativas, alternativas consideradas, opciones, opciones consideradas, ventajas, desventajas, pros y contras, \
    estado, fecha, autor, resultado, resumen, descripción, referencias, notas, solución, \
    decisão, justificativa, justificação, fundamentação, razão, razões, por quê, implementação, detalhes de implementação, detalhes da implementação, detalhes, consequências, opções, opções consideradas, vantagens, desvantagens, prós e contras, data, resumo, descrição, referências, solução, \
    decisione, motivazione, motivazioni, ragione, ragioni, perché, implementazione, dettagli di implementazione, dettagli implementativi, dettagli, contesto, conseguenze, impatto, alternative, alternative considerate, alternative valutate, opzioni, opzioni considerate, vantaggi, svantaggi, pro e contro, stato, autore, risultato, riepilogo, descrizione, riferimenti, note, soluzione, \
    решение, обоснование, причина, причины, почему, реализация, детали реализации, подробности, контекст, проблема, последствия, влияние, альтернативы, рассмотренные альтернативы, варианты, рассмотренные варианты, плюсы, минусы, плюсы и минусы, статус, дата, автор, результат, итог, описание, ссылки, примечания, мотивация, шаблон, \
    decyzja, uzasadnienie, powód, powody, dlaczego, implementacja, szczegóły implementacji, szczegóły, kontekst, konsekwencje, skutki, wpływ, alternatywy, rozważane alternatywy, rozważone alternatywy, opcje, rozważane opcje, zalety, wady, zalety i wady, data, wynik, podsumowanie, opis, odniesienia, uwagi, rozwiązanie, szablon, \
    决策, 决定, 理由, 原因, 依据, 决策理由, 实现细节, 实施细节, 实现, 实施, 实施方案, 细节, 背景, 上下文, 后果, 影响, 结果, 备选方案, 替代方案, 考虑的方案, 考虑的替代方案, 可选方案, 方案, 优点, 缺点, 优缺点, 状态, 日期, 作者, 总结, 描述, 参考, 备注, 问题, 模板, 决策背景, 决策内容, \
    決策, 決定, 實作細節, 實現細節, 影響, 後果, 替代方案, 備選方案, 優缺點, 狀態, 決策理由, 決策內容, \
    決定内容, 決定事項, 根拠, 理由, 背景, 経緯, 文脈, コンテキスト, 実装, 実装の詳細, 実装詳細, 詳細, 影響, 結果, 帰結, 代替案, 検討した代替案, 選択肢, 検討した選択肢, メリット, デメリット, メリットとデメリット, ステータス, 状態, 日付, 作成者, 概要, 説明, 参考, 備考, 問題, テンプレート, 対応, \
    결정, 결정 내용, 근거, 이유, 배경, 맥락, 컨텍스트, 구현, 구현 세부 사항, 구현 세부사항, 구현 상세, 세부 사항, 상세, 영향, 결과, 대안, 고려한 대안, 검토한 대안, 선택지, 장점, 단점, 장단점, 상태, 날짜, 작성자, 요약, 설명, 참고, 비고, 문제, 템플릿";
