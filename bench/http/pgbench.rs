//! pgbench with the statements that the server sends.

use std::time::Duration;

use anyhow::{Context, ensure};
use memory_bank_core::identity::PlainKey;

use crate::figures::Figures;
use crate::load::Outcome;
use crate::{Bench, DOCUMENT, ROLE, servers};

impl Bench {
    /// The scripts of pgbench: the server's statements, in the same number of round trips.
    pub(crate) fn write_scripts(&self) -> anyhow::Result<()> {
        let (user, project, key) = (&self.user, &self.project, &self.key_id);
        let presented: PlainKey = self.key.parse()?;
        let hash = presented.hash().to_hex();
        let context = |purpose: &str| {
            format!(
                "SELECT set_config('app.current_user_id', '{user}', true), \
             set_config('app.current_project_id', '{project}', true), set_config('app.current_key_id', '{key}', true), \
             set_config('app.current_key_hash', '{hash}', true), set_config('app.current_purpose', '{purpose}', true), \
             set_config('role', 'app_user', true), app.expect_access()::text;"
            )
        };
        let reads = context("read");
        let columns = "SELECT path, content, etag, version, updated_at FROM public.documents";
        let read = format!(
            "\\startpipeline\nBEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\n{reads}\n{columns} \
             WHERE project_id = '{project}' AND path = ANY (ARRAY['{DOCUMENT}']);\nCOMMIT;\n\\endpipeline\n"
        );
        let edit = format!(
            "\\startpipeline\nBEGIN;\nSELECT path, content, version, updated_at, document_bytes, snapshot_bytes, other_bytes, quota, \
             present, similar_names FROM app.open_documents('{user}', '{project}', '{key}', '{hash}', \
             ARRAY['notes-' || :client_id || '.md'], '{{}}', '{{}}', '{{}}', '{{}}');\n\\endpipeline\n\
             \\startpipeline\nWITH changed AS (UPDATE public.documents d SET content = reverse(content), \
             etag = substr(md5(content), 1, 16), version = d.version + 1, updated_at = now() WHERE d.project_id = '{project}' \
             AND d.path = 'notes-' || :client_id || '.md' RETURNING 1) SELECT CASE WHEN count(*) = 1 \
             THEN set_config('app.current_change', '|write_memory_bank_file||', true) ELSE app.must_be(count(*), 1)::text END FROM changed;\n\
             COMMIT;\n\\endpipeline\n"
        );
        let function = format!(
            "SELECT path, content, etag, version, updated_at \
             FROM app.read_documents('{user}', '{project}', '{key}', '{hash}', ARRAY['{DOCUMENT}']);\n"
        );
        std::fs::write(self.home.join("read.sql"), read)?;
        std::fs::write(self.home.join("function.sql"), function)?;
        std::fs::write(self.home.join("edit.sql"), edit)?;
        Ok(())
    }

    /// Runs a script with as many clients as there are connections.
    pub(crate) fn pgbench(&self, script: &str, length: Duration) -> anyhow::Result<Figures> {
        let clients = self.connections.to_string();
        let log = self.home.join("transactions");
        let mut pgbench = self.postgres.pgbench(ROLE);
        pgbench.args([
            "-n",
            "-M",
            "prepared",
            "-c",
            &clients,
            "-j",
            "1",
            "-T",
            &length.as_secs().to_string(),
        ]);
        pgbench
            .arg("-f")
            .arg(self.home.join(script))
            .args(["-l", "--sampling-rate=0.1", "--log-prefix"])
            .arg(&log);
        let text = servers::output(&mut pgbench)?;
        let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        ensure!(!text.contains("number of failed transactions: 1"), "{text}");
        let mut times = Vec::new();
        for file in std::fs::read_dir(&self.home)? {
            let file = file?.path();
            if file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("transactions")) {
                let lines = std::fs::read_to_string(&file)?;
                times.extend(
                    lines.lines().filter_map(|line| {
                        Some(Duration::from_micros(line.split(' ').nth(2)?.parse().ok()?))
                    }),
                );
                std::fs::remove_file(file)?;
            }
        }
        times.sort_unstable();
        ensure!(!times.is_empty(), "pgbench logged nothing");
        Ok(Figures::of(&Outcome { rate: rate.context("pgbench reports no rate")?, times }))
    }
}
