//! English.

use crate::document::roles::role::Role::{
    self, Decision, Done, Focus, Issue, NextStep, Note, Question, RecentChange, Status, Task,
};

pub(super) const PHRASES: &[(Role, &str)] = &[
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
];
