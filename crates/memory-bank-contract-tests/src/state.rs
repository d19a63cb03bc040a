//! State that outlives a call.
#![expect(missing_docs, reason = "the name of each function is its rule")]

use futures::future::join_all;
use memory_bank_core::caller::{ProjectId, UserId};
use memory_bank_core::error::StoreError;
use memory_bank_core::mode::Mode;
use memory_bank_core::store::SessionState;
use memory_bank_core::thinking::Thought;
use uuid::Uuid;

use crate::Project;

pub async fn state_is_stored_per_user_and_project(p: Project) {
    let before = p.state.load(&p.caller).await.unwrap();
    let mut change = |state: &mut SessionState| state.mode = Mode::Debug;
    assert_eq!(p.state.update(&p.caller, &mut change).await.unwrap().mode, Mode::Debug);
    assert_eq!(p.state.load(&p.caller).await.unwrap().mode, Mode::Debug);
    let mut stranger = p.caller.clone();
    stranger.user = UserId(Uuid::from_u128(7));
    let nothing_of_it = |loaded: Result<SessionState, StoreError>| match loaded {
        Ok(loaded) => assert_eq!(loaded, before),
        // A store that verifies the key does not return the state of another user.
        Err(error) => assert!(matches!(error, StoreError::KeyInvalid), "{error}"),
    };
    nothing_of_it(p.state.load(&stranger).await);
    let mut elsewhere = p.caller.clone();
    elsewhere.project = ProjectId(Uuid::from_u128(7));
    nothing_of_it(p.state.load(&elsewhere).await);
}

pub async fn concurrent_updates_all_count(p: Project) {
    let think = || async {
        let thought = Thought { number: 1, total: 1, revises: None, branches_from: None, branch: None };
        let mut change = |state: &mut SessionState| {
            state.thinking.count(Some("s"), "f", &thought).unwrap();
        };
        p.state.update(&p.caller, &mut change).await.unwrap();
    };
    join_all((0..10).map(|_| think())).await;
    let mut state = p.state.load(&p.caller).await.unwrap();
    let thought = Thought { number: 11, total: 11, revises: None, branches_from: None, branch: None };
    assert_eq!(state.thinking.count(Some("s"), "f", &thought).unwrap().length, 11);
}
