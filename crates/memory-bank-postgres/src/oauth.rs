//! OAuth: sign-ins, grants, codes, tokens and clients. Each method is one function of schema `app`, which checks the
//! secret that it takes; the tables are out of reach of every role that serves.

mod outside;

use async_trait::async_trait;
use jiff::Timestamp;
use memory_bank_core::caller::{KeyId, ProjectId, Right, UserId};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{
    AdminError, Client, ClientKeys, ClientRecord, Consent, Exchange, GrantRecord, GrantView, Issued, KeyHash,
    Membership, NewClient, NewCode, NewGrant, NewOutsideToken, NewTokens, OAuthAdministration, OAuthStore,
    OutsideAdmission, Presentation, Refusal, SignIn, SignedIn, Void,
};
use memory_bank_core::limits;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::administration::admin_error;
use crate::column::column;
use crate::database::Database;
use crate::keys::{limit, role, scopes, words};
use crate::revocations::{unknown, void, voids};
use crate::tenant::{Query, Value};

const SIGN_IN_WITH_KEY: &str = "SELECT app.oauth_sign_in_with_key($1, $2, $3)";
const SIGN_IN_WITH_CODE: &str = "SELECT app.oauth_sign_in_with_code($1, $2, $3)";
const SIGNED_IN: &str = "SELECT user_id, user_name, project_id, project_slug, project_name, role, scopes \
    FROM app.oauth_signed_in($1)";
const SIGN_OUT: &str = "SELECT app.oauth_sign_out($1)";
const CONSENT: &str =
    "SELECT app.oauth_consent($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
const REDEEM: &str = "SELECT outcome, grant_id, scopes, expires_at, NULL::bytea, void \
    FROM app.oauth_redeem($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
const REFRESH: &str = "SELECT outcome, grant_id, scopes, expires_at, salt, void \
    FROM app.oauth_refresh($1, $2, $3, $4, $5, interval '30 seconds', $6, $7, $8, $9, $10, $11)";
const REVOKE: &str = "SELECT grant_id, void FROM app.oauth_revoke($1, $2)";
const GRANTS: &str = "SELECT id, project_slug, client_name, client_host, scopes, created_at, last_used_at, expires_at \
    FROM app.oauth_list_grants($1)";
const TAKE_BACK: &str = "SELECT app.oauth_take_back($1, $2)";
const REGISTER: &str = "SELECT app.oauth_register($1, $2, $3, $4, $5, $6, $7)";
const CLIENT: &str = "SELECT name, redirect_uris, by_operator, jwks, jwks_uri FROM app.oauth_client($1)";
const DEMANDS_ASSERTION: &str = "SELECT app.oauth_demands_assertion($1)";
const USE_ASSERTION: &str = "SELECT app.oauth_use_assertion($1, $2, $3, $4)";
const TOKENS_OF_KEY: &str = "SELECT grant_id, key_hash FROM app.tokens_of_key($1)";
const PURGE: &str = "SELECT app.purge_oauth($1)";

/// The most rows of each kind that one call removes.
const PURGED: i64 = 2000;
/// The rows of one page of a list of grants, which has all of them.
const GRANTS_OF_A_PAGE: i64 = 2000;

#[async_trait]
impl OAuthStore for Database {
    async fn sign_in(
        &self,
        shown: SignIn,
        cookie: &KeyHash,
        until: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let (sql, shown) = match shown {
            SignIn::Key(hash) => (SIGN_IN_WITH_KEY, hash),
            SignIn::LoginCode(hash) => (SIGN_IN_WITH_CODE, hash),
        };
        let (shown, cookie) = (bytes(&shown), bytes(cookie));
        let rows = self.call(Query::new(sql, &[&shown, &cookie, &until])).await?;
        Ok(rows.first().map(|row| column(row, 0)).transpose()?.flatten())
    }

    async fn signed_in(&self, cookie: &KeyHash) -> Result<Option<SignedIn>, StoreError> {
        let rows = self.call(Query::new(SIGNED_IN, &[&bytes(cookie)])).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let projects = rows.iter().filter_map(|row| membership(row).transpose()).collect::<Result<_, _>>()?;
        Ok(Some(SignedIn { user: UserId(column(first, 0)?), user_name: column(first, 1)?, projects }))
    }

    async fn sign_out(&self, cookie: &KeyHash) -> Result<(), StoreError> {
        self.call(Query::new(SIGN_OUT, &[&bytes(cookie)])).await?;
        Ok(())
    }

    async fn consent(
        &self,
        cookie: &KeyHash,
        grant: &NewGrant,
        code: &NewCode,
    ) -> Result<Consent, StoreError> {
        let (rights, rate_limit) = (words(&grant.rights), limit(grant.rate_limit)?);
        let most = i64::try_from(limits::GRANTS).unwrap_or(i64::MAX);
        let (name, host) = (clean(&grant.client_name), clean(&grant.client_host));
        let challenge = code.challenge.as_slice();
        let values: [Value<'_>; 16] = [
            &bytes(cookie),
            &grant.project.0,
            &grant.id.0,
            &grant.client_id,
            &name,
            &host,
            &rights,
            &grant.resource,
            &rate_limit,
            &grant.expires_at,
            &bytes(&code.hash),
            &code.redirect_uri,
            &challenge,
            &code.expires_at,
            &most,
            &grant.needs_assertion,
        ];
        let rows = self.call(Query::new(CONSENT, &values)).await?;
        match word(&rows)?.as_str() {
            "granted" => Ok(Consent::Granted),
            "signed_out" => Ok(Consent::SignedOut),
            "not_a_member" => Ok(Consent::NotAMember),
            "too_much" => Ok(Consent::TooMuch),
            other => Err(unknown("oauth_consent", other)),
        }
    }

    async fn redeem(
        &self,
        code: &Presentation,
        redirect_uri: Option<&str>,
        challenge: &[u8; 32],
        tokens: &NewTokens,
    ) -> Result<Exchange, StoreError> {
        let challenge = challenge.as_slice();
        let values: [Value<'_>; 11] = [
            &bytes(&code.hash),
            &code.client_id,
            &redirect_uri,
            &challenge,
            &code.resource,
            &tokens.access_id,
            &bytes(&tokens.access_hash),
            &tokens.access_prefix,
            &tokens.access_expires_at,
            &bytes(&tokens.refresh_hash),
            &tokens.refresh_expires_at,
        ];
        exchange("oauth_redeem", &self.call(Query::new(REDEEM, &values)).await?)
    }

    async fn refresh(
        &self,
        token: &Presentation,
        rights: Option<&[Right]>,
        salt: &[u8; 16],
        tokens: &NewTokens,
    ) -> Result<Exchange, StoreError> {
        let (rights, salt) = (rights.map(words), salt.as_slice());
        let values: [Value<'_>; 11] = [
            &bytes(&token.hash),
            &token.client_id,
            &token.resource,
            &rights,
            &salt,
            &tokens.access_id,
            &bytes(&tokens.access_hash),
            &tokens.access_prefix,
            &tokens.access_expires_at,
            &bytes(&tokens.refresh_hash),
            &tokens.refresh_expires_at,
        ];
        exchange("oauth_refresh", &self.call(Query::new(REFRESH, &values)).await?)
    }

    async fn admit_outside_token(
        &self,
        token: &NewOutsideToken,
    ) -> Result<(OutsideAdmission, Vec<Void>), StoreError> {
        outside::admit(self, token).await
    }

    async fn revoke(&self, token: &KeyHash, client_id: &str) -> Result<Option<Void>, StoreError> {
        let rows = self.call(Query::new(REVOKE, &[&bytes(token), &client_id])).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let grant: Option<Uuid> = column(row, 0)?;
        grant.map(|grant| void(KeyId(grant), row, 1)).transpose()
    }

    async fn grants(&self, cookie: &KeyHash) -> Result<Vec<GrantView>, StoreError> {
        self.call(Query::new(GRANTS, &[&bytes(cookie)])).await?.iter().map(grant_view).collect()
    }

    async fn take_back(&self, cookie: &KeyHash, grant: KeyId) -> Result<Option<Void>, StoreError> {
        let rows = self.call(Query::new(TAKE_BACK, &[&bytes(cookie), &grant.0])).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let there: Option<Vec<Vec<u8>>> = column(row, 0)?;
        there.map(|_| void(grant, row, 0)).transpose()
    }

    async fn register(&self, client: &NewClient) -> Result<bool, StoreError> {
        let most = i64::try_from(limits::WAITING_CLIENTS).unwrap_or(i64::MAX);
        let name = clean(&client.name);
        let (set, address) = match &client.keys {
            Some(ClientKeys::Set(set)) => (Some(set), None),
            Some(ClientKeys::Address(address)) => (None, Some(address)),
            None => (None, None),
        };
        let values: [Value<'_>; 7] =
            [&client.id, &name, &client.redirect_uris, &client.expires_at, &most, &set, &address];
        let rows = self.call(Query::new(REGISTER, &values)).await?;
        Ok(rows.first().map(|row| column(row, 0)).transpose()?.unwrap_or_default())
    }

    async fn client(&self, id: &str) -> Result<Option<Client>, StoreError> {
        let rows = self.call(Query::new(CLIENT, &[&id])).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let set = column::<Option<String>>(row, 3)?.map(ClientKeys::Set);
        let address = column::<Option<String>>(row, 4)?.map(ClientKeys::Address);
        Ok(Some(Client { keys: set.or(address), ..stored_client(row)? }))
    }

    async fn demands_assertion(&self, secret: &KeyHash) -> Result<bool, StoreError> {
        let rows = self.call(Query::new(DEMANDS_ASSERTION, &[&bytes(secret)])).await?;
        let row = rows.first().ok_or_else(|| unknown("oauth_demands_assertion", "no row"))?;
        column(row, 0)
    }

    async fn use_assertion(
        &self,
        client_id: &str,
        assertion: &KeyHash,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let most = i64::try_from(limits::ASSERTIONS).unwrap_or(i64::MAX);
        let values: [Value<'_>; 4] = [&client_id, &bytes(assertion), &until, &most];
        let rows = self.call(Query::new(USE_ASSERTION, &values)).await?;
        let row = rows.first().ok_or_else(|| unknown("oauth_use_assertion", "no row"))?;
        column(row, 0)
    }

    async fn tokens_of_key(&self, key: &KeyHash) -> Result<Vec<Void>, StoreError> {
        voids(&self.call(Query::new(TOKENS_OF_KEY, &[&bytes(key)])).await?)
    }

    async fn purge(&self) -> Result<u64, StoreError> {
        let rows = self.call(Query::new(PURGE, &[&PURGED])).await?;
        let removed: i64 = rows.first().map(|row| column(row, 0)).transpose()?.unwrap_or_default();
        Ok(u64::try_from(removed).unwrap_or_default())
    }
}

#[async_trait]
impl OAuthAdministration for Database {
    async fn create_login_code(
        &self,
        user: &str,
        code: &KeyHash,
        until: Timestamp,
    ) -> Result<(), AdminError> {
        const SQL: &str = "SELECT app.create_login_code($1, $2, $3)";
        self.call(Query::new(SQL, &[&user, &bytes(code), &until])).await.map_err(admin_error)?;
        Ok(())
    }

    async fn list_grants(
        &self,
        project: Option<&str>,
        user: Option<&str>,
        all: bool,
    ) -> Result<Vec<GrantRecord>, AdminError> {
        const SQL: &str = "SELECT id, project_slug, client_name, client_host, scopes, created_at, last_used_at, expires_at, \
            user_name, client_id, revoked_at, revoked_for FROM app.list_grants($1, $2, $3, $4, $5, $6)";
        let mut grants: Vec<GrantRecord> = Vec::new();
        loop {
            let last = grants.last().map(|last| &last.grant);
            let (at, id) = (last.map(|last| last.created_at), last.map(|last| last.id.0));
            let values: [Value<'_>; 6] = [&project, &user, &all, &at, &id, &GRANTS_OF_A_PAGE];
            let rows = self.call(Query::new(SQL, &values)).await.map_err(admin_error)?;
            grants.extend(rows.iter().map(grant_record).collect::<Result<Vec<_>, _>>()?);
            if i64::try_from(rows.len()).unwrap_or(i64::MAX) < GRANTS_OF_A_PAGE {
                return Ok(grants);
            }
        }
    }

    async fn revoke_grant(&self, id: KeyId) -> Result<Void, AdminError> {
        const SQL: &str = "SELECT app.revoke_grant($1)";
        let rows = self.call(Query::new(SQL, &[&id.0])).await.map_err(admin_error)?;
        let row = rows.first().ok_or_else(|| unknown("revoke_grant", "no row"))?;
        Ok(void(id, row, 0)?)
    }

    async fn allow_grant(&self, id: KeyId) -> Result<(), AdminError> {
        const SQL: &str = "SELECT app.allow_grant($1)";
        self.call(Query::new(SQL, &[&id.0])).await.map_err(admin_error)?;
        Ok(())
    }

    async fn create_client(&self, id: &str, name: &str, redirect_uris: &[String]) -> Result<(), AdminError> {
        const SQL: &str = "SELECT app.create_client($1, $2, $3)";
        self.call(Query::new(SQL, &[&id, &name, &redirect_uris])).await.map_err(admin_error)?;
        Ok(())
    }

    async fn clients(&self) -> Result<Vec<ClientRecord>, AdminError> {
        const SQL: &str = "SELECT name, redirect_uris, by_operator, id, grants, created_at, used_at, expires_at \
            FROM app.list_clients()";
        let rows = self.call(Query::new(SQL, &[])).await.map_err(admin_error)?;
        let record = |row: &Row| {
            Ok::<_, StoreError>(ClientRecord {
                client: stored_client(row)?,
                id: column(row, 3)?,
                grants: u64::try_from(column::<i64>(row, 4)?).unwrap_or_default(),
                created_at: column(row, 5)?,
                used_at: column(row, 6)?,
                expires_at: column(row, 7)?,
            })
        };
        Ok(rows.iter().map(record).collect::<Result<_, _>>()?)
    }

    async fn delete_client(&self, id: &str) -> Result<Vec<Void>, AdminError> {
        const SQL: &str = "SELECT grant_id, key_hash FROM app.delete_client($1)";
        Ok(voids(&self.call(Query::new(SQL, &[&id])).await.map_err(admin_error)?)?)
    }
}

fn bytes(hash: &KeyHash) -> &[u8] {
    hash.as_bytes()
}

fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn word(rows: &[Row]) -> Result<String, StoreError> {
    Ok(rows.first().map(|row| column::<Option<String>>(row, 0)).transpose()?.flatten().unwrap_or_default())
}

/// A project of a row of [`SIGNED_IN`]; a user without one has a row without one.
fn membership(row: &Row) -> Result<Option<Membership>, StoreError> {
    let Some(project) = column::<Option<Uuid>>(row, 2)? else { return Ok(None) };
    Ok(Some(Membership {
        project: ProjectId(project),
        slug: column(row, 3)?,
        name: column(row, 4)?,
        role: role(column(row, 5)?)?,
        rights: scopes(&column::<Vec<String>>(row, 6)?)?,
    }))
}

/// The outcome of an exchange from `outcome, grant_id, scopes, expires_at, salt, void`.
fn exchange(function: &str, rows: &[Row]) -> Result<Exchange, StoreError> {
    let outcome = word(rows)?;
    let row = rows.first().ok_or_else(|| unknown(function, "no row"))?;
    let refusal = match outcome.as_str() {
        "issued" | "again" => {
            let salt: Option<&[u8]> = column(row, 4)?;
            return Ok(Exchange::Issued(Issued {
                rights: scopes(&column::<Vec<String>>(row, 2)?)?,
                expires_at: column(row, 3)?,
                salt: salt.and_then(|salt| salt.try_into().ok()),
            }));
        }
        "unknown" => Refusal::Unknown,
        "mismatch" => Refusal::Mismatch,
        "expired" => Refusal::Expired,
        "ended" => Refusal::Ended,
        "too_much" => Refusal::TooMuch,
        "reused" => Refusal::Reused(void(KeyId(column(row, 1)?), row, 5)?),
        other => return Err(unknown(function, other)),
    };
    Ok(Exchange::Refused(refusal))
}

/// A client from `name, redirect_uris, by_operator`, without its keys.
fn stored_client(row: &Row) -> Result<Client, StoreError> {
    let (name, redirect_uris, by_operator) = (column(row, 0)?, column(row, 1)?, column(row, 2)?);
    Ok(Client { name, redirect_uris, by_operator, keys: None })
}

/// A grant from the columns of [`grant_view`] and `user_name, client_id, revoked_at, revoked_for`.
pub(crate) fn grant_record(row: &Row) -> Result<GrantRecord, StoreError> {
    Ok(GrantRecord {
        grant: grant_view(row)?,
        user_name: column(row, 8)?,
        client_id: column(row, 9)?,
        revoked_at: column(row, 10)?,
        revoked_for: column(row, 11)?,
    })
}

fn grant_view(row: &Row) -> Result<GrantView, StoreError> {
    Ok(GrantView {
        id: KeyId(column(row, 0)?),
        project_slug: column(row, 1)?,
        client_name: column(row, 2)?,
        client_host: column(row, 3)?,
        rights: scopes(&column::<Vec<String>>(row, 4)?)?,
        created_at: column(row, 5)?,
        last_used_at: column(row, 6)?,
        expires_at: column(row, 7)?,
    })
}
