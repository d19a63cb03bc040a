//! Portuguese.

use crate::document::roles::role::Role::{
    self, Decision, Done, Focus, Issue, NextStep, Note, Question, RecentChange, Status, Task,
};

pub(super) const PHRASES: &[(Role, &str)] = &[
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
];
