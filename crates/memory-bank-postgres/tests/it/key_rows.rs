//! SQL on the rows of keys: their identity, their rights, and keys with the id of a foreign key.

use memory_bank_core::caller::{Caller, Right};
use memory_bank_core::clock::{Clock, SystemClock};
use memory_bank_core::error::{EditError, StoreError};
use memory_bank_core::identity::KeyStore;
use memory_bank_core::store::{BackupStore, DocumentStore, Drafts, EntityRef, GraphStore};
use memory_bank_test_postgres::MIGRATOR;

use crate::isolation::two_tenants;
use crate::key_proof::{as_login, context, shown};
use crate::support::{path, read, write};

#[tokio::test]
async fn key_identity_is_immutable_and_revocation_final() {
    let (bench, alice, bob) = two_tenants().await;
    let spare = bench.with_scopes(&alice, vec![Right::Read]).await;
    let id = spare.key.unwrap();
    KeyStore::revoke(&bench.database, &alice, id, SystemClock.now()).await.unwrap().unwrap();
    let own = context(&alice, true, &shown(&alice));
    for change in [
        "revoked_at = NULL".to_owned(),
        "revoked_at = now() + interval '1 day'".to_owned(),
        "expires_at = NULL".to_owned(),
        "key_hash = sha256('x')".to_owned(),
        format!("user_id = '{}'", bob.user.0),
        format!("project_id = '{}'", bob.project.0),
        "key_prefix = 'x'".to_owned(),
        "last_used_at = NULL".to_owned(),
    ] {
        let sql =
            format!("{own} SET ROLE app_user; UPDATE public.api_keys SET {change} WHERE id = '{}'", id.0);
        let outcome = as_login(&bench, &sql).await;
        assert!(outcome.as_ref().is_err_and(|why| why.starts_with("42501")), "{change}: {outcome:?}");
    }
    let hash =
        as_login(&bench, &format!("{own} SET ROLE app_user; SELECT key_hash FROM public.api_keys")).await;
    assert!(hash.as_ref().is_err_and(|why| why.starts_with("42501")), "{hash:?}");
    // An admin-only key cannot give itself more rights.
    let admin = bench.with_scopes(&alice, vec![Right::Admin]).await;
    let own = context(&admin, true, &shown(&admin));
    for sql in [
        format!("UPDATE public.api_keys SET scopes = '{{}}' WHERE id = '{}'", admin.key.unwrap().0),
        format!("UPDATE public.api_keys SET scopes = '{{admin,read}}' WHERE id = '{}'", admin.key.unwrap().0),
        format!(
            "INSERT INTO public.api_keys (user_id, project_id, key_hash, key_prefix) VALUES ('{}', '{}', sha256('y'), 'p')",
            alice.user.0, alice.project.0
        ),
        format!(
            "SELECT app.replace_own_key('{}', gen_random_uuid(), sha256('y'), 'p', NULL, now())",
            alice.key.unwrap().0
        ),
    ] {
        let outcome = as_login(&bench, &format!("{own} SET ROLE app_user; {sql}")).await;
        assert!(outcome.as_ref().is_err_and(|why| why.starts_with("42501")), "{sql}: {outcome:?}");
    }
    let narrow =
        format!("UPDATE public.api_keys SET revoked_at = now() WHERE id = '{}'", alice.key.unwrap().0);
    as_login(&bench, &format!("{own} SET ROLE app_user; {narrow}")).await.unwrap();
}

#[tokio::test]
async fn rights_are_independent() {
    let (bench, alice, _) = two_tenants().await;
    let bank = bench.bank();
    let name = path("secret.md");
    let writer = bench.with_scopes(&alice, vec![Right::Write]).await;
    let admin = bench.with_scopes(&alice, vec![Right::Admin]).await;
    for blind in [&writer, &admin] {
        assert!(matches!(bank.read(blind, std::slice::from_ref(&name)).await, Err(StoreError::Denied)));
        assert!(matches!(bank.list(blind).await, Err(StoreError::Denied)));
        assert!(bank.export(blind).await.is_err() && bank.stats(blind).await.is_err());
        assert!(bank.list_backups(blind, None).await.is_err());
    }
    let mut append = |drafts: &mut Drafts| {
        let text = format!("{}, and more", drafts.text(&name).expect("an edit sees the document"));
        drafts.set(&name, text)
    };
    bank.edit(&writer, std::slice::from_ref(&name), &mut append).await.unwrap();
    assert_eq!(read(&bank, &alice, "secret.md").await.as_deref(), Some("the secret of alice, and more"));
    assert_eq!(bench.test.psql("SELECT count(*) FROM documents"), "2");
    let backup = bank.create_backup(&writer, None).await.unwrap();
    let mut delete = |drafts: &mut Drafts| drafts.delete(&name);
    let refused = bank.edit(&writer, std::slice::from_ref(&name), &mut delete).await;
    assert!(matches!(refused, Err(EditError::Store(StoreError::Denied))), "{refused:?}");
    assert!(bank.delete_entity(&writer, &EntityRef("a of alice".into())).await.is_err());
    assert!(bank.restore_backup(&writer, &backup.id, false).await.is_err());
    assert!(KeyStore::list(&bench.database, &writer, true).await.unwrap().is_empty());
    // The role that administers deletes and restores, and does not write.
    let refused = write(&bank, &admin, "secret.md", "x").await;
    assert!(matches!(refused, Err(EditError::Store(StoreError::Denied))), "{refused:?}");
    assert!(write(&bank, &admin, "new.md", "x").await.is_err());
    assert!(bank.create_backup(&admin, None).await.is_err());
    bank.edit(&admin, std::slice::from_ref(&name), &mut delete).await.unwrap();
    bank.delete_entity(&admin, &EntityRef("a of alice".into())).await.unwrap();
    bank.restore_backup(&admin, &backup.id, true).await.unwrap();
    assert_eq!(read(&bank, &alice, "secret.md").await.as_deref(), Some("the secret of alice, and more"));
    assert_eq!(bank.stats(&alice).await.unwrap().entity_count, 2);
    assert!(KeyStore::list(&bench.database, &admin, true).await.unwrap().len() >= 3);
}

#[tokio::test]
async fn extreme_timestamps_do_not_make_keys_unreadable() {
    let (bench, alice, _) = two_tenants().await;
    let hash = shown(&alice);
    for moment in ["infinity", "-infinity", "20000-01-01", "4000-01-01 BC"] {
        as_login(
            &bench,
            &format!("SELECT app.touch_keys(ARRAY['\\x{hash}'::bytea], ARRAY['{moment}'::timestamptz])"),
        )
        .await
        .unwrap();
        let own = context(&alice, true, &hash);
        let revoke = format!("{own} SET ROLE app_user; UPDATE api_keys SET revoked_at = '{moment}'");
        let outcome = as_login(&bench, &revoke).await;
        assert!(outcome.as_ref().is_err_and(|why| why.starts_with("42501")), "{moment}: {outcome:?}");
    }
    assert_eq!(KeyStore::list(&bench.database, &alice, true).await.unwrap().len(), 1);
}

/// Ids of keys are unique in a project only, so a project may have a key with the id of another project's.
fn twin_of(victim: &Caller, owner: &Caller) -> String {
    format!(
        "{} SET ROLE app_user; INSERT INTO api_keys (id, user_id, project_id, key_hash, key_prefix) VALUES ('{}', '{}', '{}', \
         sha256('twin'), 'mbmcp_live_x'); ",
        context(owner, true, &shown(owner)),
        victim.key.unwrap().0,
        owner.user.0,
        owner.project.0
    )
}

#[tokio::test]
async fn a_key_with_the_same_id_as_a_foreign_key_does_not_affect_it() {
    let (bench, alice, bob) = two_tenants().await;
    let bobs = format!("FROM api_keys WHERE project_id = '{}'", bob.project.0);
    let replaced = as_login(
        &bench,
        &format!(
            "{} SELECT app.replace_own_key('{}', gen_random_uuid(), sha256('new'), 'mbmcp_live_y', NULL, now())",
            twin_of(&bob, &alice),
            bob.key.unwrap().0
        ),
    )
    .await;
    assert_eq!(replaced.as_deref(), Ok("t"));
    assert_eq!(
        bench.test.psql(&format!("SELECT count(*) {bobs} AND revoked_at IS NOT NULL")),
        "0",
        "Bob's key was revoked"
    );
    // Nor is an address hidden that Bob's key is used from later.
    bench.test.psql("UPDATE api_keys SET revoked_at = NULL");
    for hash in ["sha256('twin')".to_owned(), format!("'\\x{}'", shown(&bob))] {
        as_login(
            &bench,
            &format!(
                "SELECT app.note_key_addresses(ARRAY[{hash}::bytea], ARRAY['192.0.2.7'], ARRAY[now()], 1)"
            ),
        )
        .await
        .unwrap();
    }
    let noted = format!(
        "SELECT count(*) FROM app.audit_log WHERE project_id = '{}' AND action = 'key.used_from_new_address'",
        bob.project.0
    );
    assert_eq!(bench.test.psql(&noted), "1", "the use of Bob's key is hidden by one of Alice's");
    // An operator who names the id revokes every key with it, and cannot rotate, since the id is ambiguous.
    let rotate = format!(
        "SELECT app.rotate_key('{}', gen_random_uuid(), sha256('newer'), 'mbmcp_live_z', NULL, now())",
        bob.key.unwrap().0
    );
    let (client, connection) =
        tokio_postgres::connect(&bench.test.url_of(MIGRATOR), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let refused = client.simple_query(&rotate).await.unwrap_err();
    assert_eq!(refused.code().map(|code| code.code()), Some("MB400"), "{refused}");
    assert_eq!(bench.test.psql(&format!("SELECT count(*) {bobs} AND revoked_at IS NULL")), "1");
}
