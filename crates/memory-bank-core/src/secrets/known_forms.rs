//! Known forms of secrets, each as it appears in a subject, a branch or a prompt.

use rstest::rstest;

use super::masked;

/// The form, in which `|` stands before and after the secret part, so that no scanner takes this file for a leak.
#[rstest]
#[case("rotate |AKI|AIOSFODNN7EXAMPLE|")]
#[case("rotate |ASI|AY34FZKBOKMUTVV7A|")]
#[case("aws_secret_access_key = |wJalrXUtnFEMI/K7MDENG/|bPxRfiCYEXAMPLEKEY|")]
#[case("AWS_SESSION_TOKEN=|FwoGZXIvYXdzEBYaD|HqaL2v1mJmQ3example|")]
#[case("push with |ghp|_16C7e42F292c6912E7710c838347Ae178B4a|")]
#[case("push with |gho|_16C7e42F292c6912E7710c838347Ae178B4a|")]
#[case("push with |ghs|_16C7e42F292c6912E7710c838347Ae178B4a|")]
#[case("push with |glpat|-xYz0123456789abcdefg|")]
#[case("runner |glrt|-xYz0123456789abcdefg|")]
#[case("post to |xoxb|-263594206564-2343594206574-FGqddMF8t08v8N7Oq4i57vs1|")]
#[case("socket |xapp|-1-A0123456789-1234567890123-0123456789abcdef0123456789abcdef|")]
#[case("https://hooks.slack.com/services/|T00000000/B00000000|/XXXXXXXXXXXXXXXXXXXXXXXX|")]
#[case("pay with |sk_live|_4eC39HqLyjWDarjtT1zdp7dc|")]
#[case("pay with |rk_live|_4eC39HqLyjWDarjtT1zdp7dc|")]
#[case("webhook |whsec|_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH|")]
#[case("map |AIza|SyD4iE2xVSpkLLOXoyqT7XaB9C0dEfGhIjK|")]
#[case("oauth |GOCSPX|-1mVwFTjGIXgs2BC2uHzksQi0HAK1|")]
#[case("bearer of google |ya29|.a0AfH6SMBx7-1234567890abcdefghijklmnop_qrstuv|")]
#[case("publish |npm|_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8|")]
#[case("publish |pypi|-AgEIcHlwaS5vcmcCJDA1234567890abcdefABCDEF12345678901234567890abcdefghijk|")]
#[case("ask |sk-proj|-abcdEFGH0123456789abcdEFGH0123456789abcdEFGH0123|")]
#[case("ask |sk-ant|-api03-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ|")]
#[case("load |hf|_AbCdEfGhIjKlMnOpQrStUvWxYz01234567|")]
#[case("mail |SG|.ngeVfQFYQlKU0ufo8x5d1A.TwL2iGABf9DHoTf-09kqeF8tAmbihYzrnopKc-1s5cr|")]
#[case("mail |key|-3ax6xnjp29jd6fds4gc373sgvjxteol0|")]
#[case("twilio |SK|0123456789abcdef0123456789abcdef|")]
#[case("mailchimp |0123456789abcdef|0123456789abcdef-us12|")]
#[case("droplet |dop_v1|_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef|")]
#[case("shop |shpat|_0123456789abcdef0123456789abcdef|")]
#[case("bot |123456789:|AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1|")]
#[case("discord |MTk4NjIyNDgzNDcxOTI1MjQ4.|Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs|")]
#[case(
    "https://discord.com/api/webhooks/1234567890/|AbCdEfGhIjKlMnOp|QrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz012345678901|"
)]
#[case(
    "jwt |eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.|eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U|"
)]
#[case(
    "AccountName=x;AccountKey=|Eby8vdM02xNOcqFlqUwJPLlm|EtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==|"
)]
#[case("https://x.blob.core.windows.net/c?sv=2022&sig=|AbCdEf0123456789|%2BAbCdEf%3D|")]
#[case("client secret |abc8|Q~AbCdEfGhIjKlMnOpQrStUvWxYz01234567|")]
#[case("databricks |dapi|0123456789abcdef0123456789abcdef|")]
#[case("linear |lin_api|_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCd|")]
#[case("notion |ntn|_123456789012AbCdEfGhIjKlMnOpQrStUvWxYz01234567|")]
#[case("figma |figd|_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCd|")]
#[case("jira |ATATT3x|FfGF0AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz0123456789|")]
#[case("grafana |glsa|_AbCdEfGhIjKlMnOpQrStUvWxYz012345_0123abcd|")]
#[case("vault |hvs|.CAESIAbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGh|")]
#[case(
    "terraform |AbCdEfGhIjKlMn.|atlasv1.AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz01|"
)]
#[case("doppler |dp.pt|.AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfG|")]
#[case("planetscale |pscale_tkn|_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789|")]
#[case("supabase |sbp|_0123456789abcdef0123456789abcdef01234567|")]
#[case("supabase |sb_secret|_AbCdEfGhIjKlMnOpQrStUv_0123abcd|")]
#[case("newrelic |NRAK|-ABCDEFGHIJKLMNOPQRSTUVWXYZ0|")]
#[case(
    "sentry |sntrys|_eyJpYXQiOjE2ODczMzY1NDMuNjk4NTksInVybCI6bnVsbCwicmVnaW9uX3VybCI6Imh0dHA6Ly9sb2NhbGhvc3Q6ODAwMCIsIm9yZyI6InNlbnRyeSJ9_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfG|"
)]
#[case("postman |PMAK|-0123456789abcdef01234567-0123456789abcdef0123456789abcdef01|")]
#[case("age |AGE-SECRET-KEY-1|QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQPZRY9X8GF2TVDW0S3JN54KHCE6|")]
#[case("postgres://app:|hunter2-and|-more|@db:5432/shop")]
#[case("mongodb+srv://app:|hunter2-and|-more|@cluster0.mongodb.net/x")]
#[case("amqps://guest:|hunter2-and|-more|@mq/vhost")]
#[case(
    "-----BEGIN OPENSSH PRIVATE KEY----- |b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ|AAAAAAAAABAAAAMwAAAAtzc2gt|"
)]
#[case("-----BEGIN PGP PRIVATE KEY BLOCK----- |lQdGBGAbCdEBEAD|AbCdEf|")]
#[case("curl -H 'Authorization: Basic |dXNlcjpodW50|ZXIy|'")]
#[case("curl -u admin:|hunter2-and|-more| https://x")]
#[case("curl --user admin:|hunter2-and|-more| https://x")]
#[case("machine example.com login me password |hunter2-and|-more")]
#[case(r#"{"auths":{"x":{"auth":"|dXNlcjpwYXNz|d29yZDEyMw==|"}}}"#)]
#[case("mysql -uroot -p|hunter2-and|-more| shop")]
#[case("sshpass -p |hunter2-and|-more| ssh x")]
#[case("kubectl create secret generic x --from-literal=password=|hunter2-and|-more")]
#[case("DATABASE_PASSWORD: \"|hunter2-and|-more|\"")]
#[case("<password>|hunter2-and|-more|</password>")]
#[case("user:|$2y$10$|AbCdEfGhIjKlMnOpQrStUuWxYz0123456789AbCdEfGhIjKlMnOpQ|")]
#[case("root:|$6$rounds=|5000$abcdefgh$AbCdEfGhIjKlMnOpQrStUvWxYz0123456789./AbCdEfGhIjKlMnOpQrStUvWxYz|")]
#[case("key of this server |mbmcp_live|_0123456789abcdefghijABCDEFGHIJxy|")]
fn a_known_form_is_masked(#[case] form: &str) {
    let text = form.replace('|', "");
    let mut parts = form.split('|');
    parts.next();
    let secret: String = parts.take(2).collect();
    assert!(text.contains(&secret));
    for text in [text.clone(), format!("fix: {text}, and more"), format!("({text})")] {
        let shown = masked(&text);
        assert!(!shown.contains(&secret), "{text} -> {shown}");
        // The larger part of a token must not stay.
        let half = secret.get(secret.len() / 2..).unwrap();
        assert!(half.len() < 8 || !shown.contains(half), "{text} -> {shown}");
    }
}

/// Forms of commands and files, and tokens in the variants that their issuers describe.
#[rstest]
#[case("tailscale |tskey|-client-kAbCdEf1CNTRL-aBcDeFgHiJkLmNoPqRsTuV12|")]
#[case("tailscale |tskey|-kAbCdEf1CNTRL-aBcDeFgHiJkLmNoPqRsTuV12|")]
#[case("docker login with |dckr|_pat_aBcDeFgHiJkLmNoPqRsTuVwXy12|")]
#[case("docker login with |dckr|_oat_aBcDeFgHiJkLmNoPqRsTuVwXyZabcdef|")]
#[case("sqlplus scott/|hunter2-and|-more|@//db:1521/orcl")]
#[case("sqlplus -L -S scott/\"|hunter2-and|-more|\"@orcl")]
#[case("sqlplus scott/|letme|insecretly|")]
#[case("rman target sys/|letme|insecretly|@orcl")]
#[case("mysql -h db -u root -p|letme|insecretly| shop")]
#[case("mysqldump -p'|letme|insecretly|' shop")]
#[case("mariadb -u root -p|letme|insecretly| shop")]
#[case("docker exec db mariadb-dump -p|letme|insecretly| shop")]
#[case("curl -sSu admin:|letme|insecretly| https://x")]
#[case("curl -uadmin:|letme|insecretly| https://x")]
#[case("curl https://x -u 'admin:|letme|insecretly|'")]
#[case("curl --proxy-user admin:|letme|insecretly| https://x")]
#[case("Authorization: Basic |dXNlcjpsZXRt|ZWlu|")]
#[case("authorization=Basic |dXNlcjpsZXRt|ZWlu|")]
#[case("machine example.com login me password |letme|insecretly|")]
#[case("machine example.com password |letme|insecretly| login me")]
#[case("machine example.com\n  login me\n  password |letme|insecretly|\n")]
#[case("  password |hunter2|-and-more|")]
#[case("PGPASSWORD=|letme|insecretly| psql shop")]
#[case("PGPASSWORD='|letme|insecretly|' psql shop")]
#[case("|AGE-SECRET-KEY-PQ-1|QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQPZRY9X8GF2TVDW0S3JN54KHCE6|")]
#[case("|age-secret-key-1|qpzry9x8gf2tvdw0s3jn54khce6mua7lqpzry9x8gf2tvdw0s3jn54khce6|")]
#[case("vault |hvs|.AbCdEfGhIjKlMnOpQrStUvWx|")]
#[case("vault |hvb|.AAAAAQJEmi6AbCdEfGhIjKlMnOpQrStUvWxYz|")]
#[case("droplet |doo_v1|_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef|")]
#[case("load |hf|_AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh|")]
#[case("runner |glrt|-t3_AbCdEfGhIjKlMnOpQrStUvWxYz01234567.01.0123abcde|")]
#[case("trigger |glptt|-0123456789abcdef0123456789abcdef01234567|")]
#[case("deploy |gldt|-xYz0123456789abcdefg|")]
#[case("ask |sk-svcacct|-abcdEFGH0123456789abcdEFGH0123456789abcdEFGH0123|")]
#[case("ask |sk-ant|-oat01-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ|")]
#[case("databricks |dapi|0123456789abcdef0123456789abcdef-2|")]
#[case("sentry |sntryu|_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef|")]
#[case("linear |lin_oauth|_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCd|")]
#[case("supabase |sbp_v0|_0123456789abcdef0123456789abcdef01234567|")]
fn a_form_of_a_command_or_an_issuer_is_masked(#[case] form: &str) {
    let text = form.replace('|', "");
    let mut parts = form.split('|');
    parts.next();
    let secret: String = parts.take(2).collect();
    let shown = masked(&text);
    let half = secret.get(secret.len() / 2..).unwrap();
    assert!(!shown.contains(&secret) && !shown.contains(half), "{text} -> {shown}");
}

/// Words about a secret, and names that begin like one.
#[rstest]
#[case("a Tailscale key begins with tskey-auth")]
#[case("a token of Docker begins with dckr_pat_")]
#[case("sqlplus scott@orcl asks for it")]
#[case("sqlplus -S /nolog @scripts/report.sql")]
#[case("mysql -u root -p shop")]
#[case("mysql --port 3307 shop")]
#[case("mariadb -u root -p shop")]
#[case("mysql -h db --protocol=tcp -P3307")]
#[case("curl -u admin https://example.org/a")]
#[case("curl -sS --unix-socket /run/x https://example.org/a")]
#[case("Authorization: Basic was removed")]
#[case("basic authentication for the dashboard")]
#[case("the machine learning page has a password field")]
#[case("password reset")]
#[case("unset PGPASSWORD before psql")]
#[case("an identity of age begins with AGE-SECRET-KEY-1")]
#[case("a token of Vault begins with hvs. and is long")]
#[case("a token of DigitalOcean begins with dop_v1_")]
#[case("npm_config_registry and npm_package_version")]
#[case("bump pypi-publish-action-of-the-release to v1.8.14")]
#[case("see pypi-attestations-0.0.12")]
#[case("glpat- and glrt- are tokens of GitLab")]
#[case("add global-search-index-of-documents-v2")]
#[case("the english-translation-of-page-2")]
#[case("call hf_hub_download first")]
#[case("sk-learn-pipeline-of-features")]
#[case("sk-ant- is the beginning of keys")]
#[case("dapi of databricks")]
#[case("sentry captures the exception, sntrys_ is its token")]
#[case("lin_api_ and sbp_ are beginnings")]
#[case("eyJ begins a web token")]
#[case("rman target / runs scripts/backup.rcv")]
#[case("impdp reads data/export.dmp")]
#[case("curl -sSu admin https://example.org:8443/a")]
#[case("mysqldump -P 3307 --port=3307 shop")]
#[case("age-secret-key- is written in capitals")]
fn words_about_a_secret_stay(#[case] text: &str) {
    assert_eq!(masked(text), text);
}
