//! `/api/v1/members` and `/api/v1/member`: owners see, invite, change and remove the members of the project.

use axum::body::Body;
use axum::response::Response;
use memory_bank_core::caller::{Caller, Role as ProjectRole, UserId};
use memory_bank_core::clock::iso_millis;
use memory_bank_core::identity::{ListedMember, NewUser, parse_user_name};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::api::Problem;
use crate::http::api::queries::{ListPage, NamedMember};
use crate::http::invalidation::Invalidation;
use crate::http::keys::bodies::{CreateKey, CreatedKey, Scope, whole_number};
use crate::http::keys::{key_of, void};
use crate::http::rest_request::{QueryParameters, Refusal, RestRequest, page};

/// The role of a member.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MemberRole {
    Viewer,
    Editor,
    Owner,
}

impl From<MemberRole> for ProjectRole {
    fn from(role: MemberRole) -> Self {
        match role {
            MemberRole::Viewer => Self::Viewer,
            MemberRole::Editor => Self::Editor,
            MemberRole::Owner => Self::Owner,
        }
    }
}

impl From<ProjectRole> for MemberRole {
    fn from(role: ProjectRole) -> Self {
        match role {
            ProjectRole::Viewer => Self::Viewer,
            ProjectRole::Editor => Self::Editor,
            ProjectRole::Owner => Self::Owner,
        }
    }
}

/// A member.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemberView {
    /// The name of the user.
    name: String,
    role: MemberRole,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    email: Option<String>,
    /// When the user was created.
    #[schema(format = DateTime)]
    created_at: String,
    /// Whether the caller invited this user, who has used nothing yet, so that the key of the invitation may be replaced.
    may_replace_key: bool,
}

impl MemberView {
    fn of(listed: ListedMember) -> Self {
        let ListedMember { member, is_own_open_invitation: may_replace_key } = listed;
        Self {
            may_replace_key,
            name: member.user.name,
            role: member.role.into(),
            email: member.user.email,
            created_at: iso_millis(member.user.created_at),
        }
    }
}

/// Members, by name.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemberList {
    members: Vec<MemberView>,
    /// For the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A new user, who becomes a member.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct InviteMember {
    /// A name that no user of the server has.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    role: MemberRole,
    /// A name for the key.
    #[schema(max_length = 200)]
    label: Option<String>,
    /// After how many days the key expires; never when absent.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 3650)]
    expires_in_days: Option<u32>,
}

/// A member who was invited, with the key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InvitedMember {
    name: String,
    role: MemberRole,
    /// The member's key. It is shown only once.
    key: CreatedKey,
}

/// A key for a member who was invited.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ReplaceInvitation {
    /// A name for the key.
    #[schema(max_length = 200)]
    label: Option<String>,
    /// After how many days the key expires; never when absent.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 3650)]
    expires_in_days: Option<u32>,
}

/// A member with the key that replaces that of the invitation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplacedInvitation {
    name: String,
    /// The member's key. It is shown only once.
    key: CreatedKey,
}

/// Another role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeMember {
    role: MemberRole,
}

/// A member with another role.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangedMember {
    name: String,
    role: MemberRole,
}

/// A membership that has ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RemovedMember {
    name: String,
    /// How many keys and tokens became void.
    revoked_keys: usize,
}

/// Lists the members of the project.
#[utoipa::path(get, path = "/api/v1/members", tag = "administration", operation_id = "list_members", params(ListPage), responses(
    (status = 200, body = MemberList),
    (status = 304, description = "the client has this reply"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json", description = "the caller is no owner, or administers nothing with this key or token"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "a folder has one user, or there is no such page"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    request: RestRequest,
    QueryParameters(query): QueryParameters<ListPage>,
) -> Response {
    let caller = &request.who.caller;
    request
        .answer_to_owner(|administration| async move {
            let place = |listed: &ListedMember| listed.member.user.name.clone();
            let members = async |after: Option<String>, most| {
                let after = after.as_deref().map(stored_name).transpose()?;
                Ok::<_, Refusal>(administration.members_of(caller, after.as_deref(), most).await?)
            };
            let (members, next_cursor) = page((query.cursor.as_deref(), query.limit), place, members).await?;
            Ok(MemberList { members: members.into_iter().map(MemberView::of).collect(), next_cursor })
        })
        .await
}

/// Makes a new user a member, with a key.
#[utoipa::path(post, path = "/api/v1/members", tag = "administration", operation_id = "invite_member", request_body = InviteMember, responses(
    (status = 200, body = InvitedMember),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the body is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json", description = "the caller is no owner, or administers nothing with this key or token"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "a folder has one user, or there is no such page"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "a user has this name, there are too many members or keys, or a rule is against the name"),
    (status = 413, body = Problem, content_type = "application/problem+json"),
    (status = 415, body = Problem, content_type = "application/problem+json"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn invite(request: RestRequest, body: Body) -> Response {
    let (request, caller) = (&request, &request.who.caller);
    request
        .answer_to_owner_with(body, |wanted: InviteMember, administration| async move {
            let name = parse_user_name(&wanted.name).map_err(|why| Refusal::Conflict(why.to_string()))?;
            let role = wanted.role;
            let services = &request.shared.services;
            let user = NewUser { id: UserId(services.entropy.id()), name, email: None };
            let options = options_of(caller, wanted.label, wanted.expires_in_days);
            let (plain, key) = key_of(&request.shared, caller, options).map_err(Refusal::Reply)?;
            let (made, key) = administration.invite(caller, &user, role.into(), &key).await?;
            Ok(InvitedMember { name: made.name, role, key: CreatedKey::new(&plain, key) })
        })
        .await
}

/// Makes a new key for a member whom the caller invited and who has used nothing yet, for the key of the invitation, which becomes void.
#[utoipa::path(post, path = "/api/v1/member/key", tag = "administration", operation_id = "replace_invitation", params(NamedMember), request_body = ReplaceInvitation, responses(
    (status = 200, body = ReplacedInvitation),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query or the body is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json", description = "the caller is no owner, or administers nothing with this key or token"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such member"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "the member has used a key, or belongs to another project"),
    (status = 413, body = Problem, content_type = "application/problem+json"),
    (status = 415, body = Problem, content_type = "application/problem+json"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn replace_invitation(
    request: RestRequest,
    QueryParameters(NamedMember { name }): QueryParameters<NamedMember>,
    body: Body,
) -> Response {
    let (request, caller) = (&request, &request.who.caller);
    request
        .answer_to_owner_with(body, |wanted: ReplaceInvitation, administration| async move {
            let options = options_of(caller, wanted.label, wanted.expires_in_days);
            let (plain, key) = key_of(&request.shared, caller, options).map_err(Refusal::Reply)?;
            let (record, replaced) =
                administration.replace_invitation(caller, &stored_name(&name)?, &key).await?;
            for key in &replaced {
                void(&request.shared, key).await;
            }
            Ok(ReplacedInvitation { name, key: CreatedKey::new(&plain, record) })
        })
        .await
}

/// Gives a member another role.
#[utoipa::path(patch, path = "/api/v1/member", tag = "administration", operation_id = "change_member", params(NamedMember), request_body = ChangeMember, responses(
    (status = 200, body = ChangedMember),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query or the body is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json", description = "the caller is no owner, or administers nothing with this key or token"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such member"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "the project would have no owner"),
    (status = 413, body = Problem, content_type = "application/problem+json"),
    (status = 415, body = Problem, content_type = "application/problem+json"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn change(
    request: RestRequest,
    QueryParameters(NamedMember { name }): QueryParameters<NamedMember>,
    body: Body,
) -> Response {
    let (request, caller) = (&request, &request.who.caller);
    request
        .answer_to_owner_with(body, |ChangeMember { role }, administration| async move {
            for key in administration.change_member(caller, &stored_name(&name)?, role.into()).await? {
                request.shared.auth.forget_everywhere(&key.hash).await;
                request.shared.invalidations.send(Invalidation::key_changed(&key.hash, None)).await;
            }
            Ok(ChangedMember { name, role })
        })
        .await
}

/// Ends a membership; the member's keys and grants in the project become void.
#[utoipa::path(delete, path = "/api/v1/member", tag = "administration", operation_id = "remove_member", params(NamedMember), responses(
    (status = 200, body = RemovedMember),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json", description = "the caller is no owner, or administers nothing with this key or token"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such member"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "the project would have no owner"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn remove(
    request: RestRequest,
    QueryParameters(NamedMember { name }): QueryParameters<NamedMember>,
) -> Response {
    let (request, caller) = (&request, &request.who.caller);
    request
        .answer_to_owner(|administration| async move {
            let ended = administration.end_membership(caller, &stored_name(&name)?).await?;
            for key in &ended {
                request.shared.auth.forget_everywhere(&key.hash).await;
                let revoked = Invalidation::key_changed(&key.hash, Some(key.record.id.0));
                request.shared.invalidations.send(revoked).await;
            }
            Ok(RemovedMember { name, revoked_keys: ended.len() })
        })
        .await
}

/// A key for a new member.
fn options_of(caller: &Caller, label: Option<String>, expires_in_days: Option<u32>) -> CreateKey {
    CreateKey { label, scopes: scopes_of(caller), expires_in_days, ..CreateKey::default() }
}

/// The scopes of the key of a new member: those of the caller. None where the caller has none, so that the key follows the
/// role; it does so, too, with every scope.
pub(super) fn scopes_of(caller: &Caller) -> Option<Vec<Scope>> {
    let scopes: Vec<Scope> = caller.scopes.iter().copied().map(Scope::from).collect();
    (!scopes.is_empty()).then_some(scopes)
}

/// The name of a member; a database accepts no null characters.
fn stored_name(name: &str) -> Result<String, Refusal> {
    if name.contains('\0') {
        return Err(Refusal::NotFound("there is no such member".to_owned()));
    }
    Ok(name.to_owned())
}
