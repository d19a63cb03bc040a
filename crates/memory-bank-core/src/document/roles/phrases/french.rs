//! French.

use crate::document::roles::role::Role::{
    self, Decision, Done, Focus, Issue, NextStep, Note, Question, RecentChange, Status, Task,
};

pub(super) const PHRASES: &[(Role, &str)] = &[
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
];
