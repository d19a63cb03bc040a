//! Polish.

use crate::document::roles::role::Role::{
    self, Decision, Done, Focus, Issue, NextStep, Note, Question, RecentChange, Status, Task,
};

pub(super) const PHRASES: &[(Role, &str)] = &[
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
];
