//! Spanish.

use crate::document::roles::role::Role::{
    self, Decision, Done, Focus, Issue, NextStep, Note, Question, RecentChange, Status, Task,
};

pub(super) const PHRASES: &[(Role, &str)] = &[
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
];
