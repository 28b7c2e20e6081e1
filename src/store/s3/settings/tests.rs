use super::*;
use crate::Error;

const HOME: &str = "/nowhere";

/// A folder with both files, and an environment that points there.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new(config: &str, credentials: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config"), config).unwrap();
        std::fs::write(folder.path().join("credentials"), credentials).unwrap();
        Self { folder }
    }

    fn environment(&self, more: &[(&str, &str)]) -> Environment {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let files = [
            ("HOME", HOME.to_owned()),
            ("AWS_CONFIG_FILE", file("config")),
            ("AWS_SHARED_CREDENTIALS_FILE", file("credentials")),
        ];
        files.into_iter().chain(more.iter().map(|(name, value)| (*name, (*value).to_owned()))).collect()
    }

    fn resolve(&self, more: &[(&str, &str)]) -> Result<Resolved> {
        resolve(&S3Options::default(), &self.environment(more))
    }
}

fn keys(resolved: &Resolved) -> (&str, &str, Option<&str>) {
    match &resolved.origin {
        Some(Origin::Keys(keys)) => (&keys.access_key_id, &keys.secret_access_key, keys.session_token.as_deref()),
        other => panic!("no keys: {other:?}"),
    }
}

fn mistake(resolved: Result<Resolved>) -> String {
    match resolved {
        Err(Error::Configuration(error)) => error.to_string(),
        other => panic!("no mistake: {other:?}"),
    }
}

const KEYS: &str = "aws_access_key_id = k\naws_secret_access_key = s\n";

#[test]
fn values_are_not_cut_and_names_may_be_quoted() {
    let files =
        Files::new("[profile \"My Show\"] # night\n aws_access_key_id: k\n aws_secret_access_key = a #b;c\n", "");
    let resolved = files.resolve(&[("AWS_PROFILE", "My Show")]).unwrap();
    assert_eq!(keys(&resolved), ("k", "a #b;c", None));
}

#[test]
fn the_file_of_keys_wins_over_the_other_and_a_program_comes_between() {
    let config = format!("[default]\ncredential_process = /bin/keys\n{KEYS}");
    let alone = Files::new(&config, "").resolve(&[]).unwrap();
    assert!(matches!(alone.origin, Some(Origin::Profile { .. })), "{:?}", alone.origin);
    assert!(alone.sdk_profile.0.contains("credential_process = /bin/keys"), "{}", alone.sdk_profile.0);
    let both = Files::new(&config, "[default]\naws_access_key_id=c\naws_secret_access_key=d\naws_session_token=t\n");
    assert_eq!(keys(&both.resolve(&[]).unwrap()), ("c", "d", Some("t")));
}

#[test]
fn a_profile_by_name_leaves_the_environments_keys_aside() {
    let files = Files::new(&format!("[profile lab]\n{KEYS}"), "");
    let more = [("AWS_ACCESS_KEY_ID", "e"), ("AWS_SECRET_ACCESS_KEY", "f"), ("AWS_PROFILE", "lab")];
    assert_eq!(files.resolve(&more).unwrap().origin, Some(Origin::Environment));
    let options = S3Options { profile: Some("lab".to_owned()), ..S3Options::default() };
    assert_eq!(keys(&resolve(&options, &files.environment(&more)).unwrap()), ("k", "s", None));
}

#[test]
fn a_chain_of_roles_is_given_to_the_sdk_under_names_that_it_takes() {
    let files = Files::new(
        "[profile müller]\nrole_arn = arn:a\nsource_profile = My Base\n[profile 'My Base']\naws_access_key_id = k\naws_secret_access_key = s\n",
        "",
    );
    let resolved = files.resolve(&[("AWS_PROFILE", "müller")]).unwrap();
    assert_eq!(
        resolved.sdk_profile.0,
        "[profile p0]\nrole_arn = arn:a\nsource_profile = p1\n[profile p1]\naws_access_key_id = k\naws_secret_access_key = s\n"
    );
    assert_eq!(resolved.sdk_profile.1, "p0");
}

#[test]
fn mistakes_name_the_profile_and_what_is_wrong() {
    let role = "role_arn = arn:a\n";
    let cases = [
        ("[profile other]\n".to_owned(), vec!["'lab'", "there are other"]),
        (format!("[profile lab]\n{role}source_profile = gone\n"), vec!["'lab'", "'gone' does not exist"]),
        (format!("[profile lab]\n{role}"), vec!["'lab'", "neither source_profile nor credential_source"]),
        (format!("[profile lab]\n{role}credential_source = X\nsource_profile = y\n"), vec!["'lab'", "both"]),
        (format!("[profile lab]\n{role}credential_source = Ec2Metadata\n"), vec!["'lab'", "'Ec2Metadata'"]),
        (format!("[profile lab]\n{role}source_profile = lab\n"), vec!["'lab'", "circle"]),
        (
            format!("[profile lab]\n{role}source_profile = b\n[profile b]\n{role}source_profile = lab\n"),
            vec!["'b'", "circle: lab -> b -> lab"],
        ),
        (
            format!("[profile lab]\n{role}source_profile = b\n[profile b]\nregion = x\n"),
            vec!["'lab'", "'b' has no credentials"],
        ),
        (format!("[profile lab]\n{role}mfa_serial = m\nsource_profile = b\n"), vec!["'lab'", "mfa_serial"]),
        ("[profile lab]\naws_access_key_id = k\n".to_owned(), vec!["'lab'", "no aws_secret_access_key"]),
        ("[profile lab]\naws_secret_access_key = k\n".to_owned(), vec!["'lab'", "no aws_access_key_id"]),
        ("[profile lab]\nweb_identity_token_file = /x\n".to_owned(), vec!["'lab'", "no role_arn"]),
        (
            "[profile lab]\nsso_role_name = r\n".to_owned(),
            vec!["'lab'", "lacks sso_account_id, sso_start_url, sso_region"],
        ),
        ("[profile lab]\nsso_role_name = r\nsso_session = n\n".to_owned(), vec!["'lab'", "'n' does not exist"]),
        ("[profile lab]\nservices = n\n".to_owned(), vec!["'lab'", "'n' does not exist"]),
        ("[profile lab]\nregion = us_west\n".to_owned(), vec!["'lab'", "us_west"]),
        ("[profile lab]\nendpoint_url = minio:9000\n".to_owned(), vec!["'lab'", "minio:9000"]),
        ("[profile lab]\ns3 =\n  addressing_style = paths\n".to_owned(), vec!["'lab'", "paths"]),
        ("[profile lab]\nrequest_checksum_calculation = no\n".to_owned(), vec!["'lab'", "when_required"]),
        ("[profile lab]\nca_bundle = /nowhere/ca.pem\n".to_owned(), vec!["'lab'", "/nowhere/ca.pem"]),
        ("[profile lab]\nx = 1\n[profile lab]\n".to_owned(), vec!["line 3", "twice"]),
        ("[profile lab]\nx = 1\nX = 2\n".to_owned(), vec!["line 3", "twice"]),
        ("[profile lab]\nsecret words\n".to_owned(), vec!["line 2", "neither a section"]),
        ("x = 1\n".to_owned(), vec!["line 1", "section"]),
    ];
    for (config, words) in cases {
        let text = mistake(Files::new(&config, "").resolve(&[("AWS_PROFILE", "lab")]));
        assert!(words.iter().all(|word| text.contains(word)), "{config}\n{text}\n{words:?}");
        assert!(!text.contains("secret words"), "{text}");
    }
}

#[test]
fn empty_variables_are_none() {
    let files = Files::new(&format!("[default]\n{KEYS}region = eu-west-3\n"), "");
    let empty = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CA_BUNDLE", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"];
    let resolved = files.resolve(&empty.map(|name| (name, ""))).unwrap();
    assert_eq!(resolved.settings.region.as_deref(), Some("eu-west-3"));
    assert_eq!((&resolved.trust, &resolved.settings.endpoint_url), (&Trust::System, &None));
}

#[test]
fn half_a_key_in_the_environment_is_named() {
    let files = Files::new("", "");
    let text = mistake(files.resolve(&[("AWS_ACCESS_KEY_ID", "k")]));
    assert!(text.contains("AWS_ACCESS_KEY_ID") && text.contains("AWS_SECRET_ACCESS_KEY"), "{text}");
}

#[test]
fn an_endpoint_is_found_where_botocore_finds_it() {
    let config =
        "[default]\nendpoint_url = http://general\nservices = lab\n[services lab]\ns3 =\n  endpoint_url = http://own\n";
    let files = Files::new(config, "");
    let endpoints = |more: &[(&str, &str)]| {
        let settings = files.resolve(more).unwrap().settings;
        (settings.endpoint_url.unwrap_or_default(), settings.sts_endpoint_url.unwrap_or_default())
    };
    assert_eq!(endpoints(&[]), ("http://own".to_owned(), "http://general".to_owned()));
    assert_eq!(endpoints(&[("AWS_ENDPOINT_URL", "http://e")]), ("http://e".to_owned(), "http://e".to_owned()));
    let both = [("AWS_ENDPOINT_URL", "http://e"), ("AWS_ENDPOINT_URL_S3", "http://s3")];
    assert_eq!(endpoints(&both), ("http://s3".to_owned(), "http://e".to_owned()));
    assert_eq!(endpoints(&[("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "TRUE")]), (String::new(), String::new()));
}

#[test]
fn the_path_holds_the_bucket_where_botocore_puts_it_there() {
    let style = |endpoint: &str, style: &str, accelerate: bool| {
        S3Settings {
            endpoint_url: Some(endpoint.to_owned()).filter(|url| !url.is_empty()),
            addressing_style: Some(style.to_owned()).filter(|style| !style.is_empty()),
            use_accelerate: accelerate,
            ..S3Settings::default()
        }
        .path_style()
    };
    assert!(!style("", "", false) && style("", "path", false) && !style("", "auto", false));
    assert!(style("http://h", "", false) && style("http://h", "auto", false) && !style("http://h", "virtual", false));
    assert!(!style("", "path", true));
}

#[test]
fn files_are_found_where_variables_and_home_say() {
    let files = Files::new("[default]\nregion = eu-west-3\n", "");
    let home = files.folder.path().display().to_string();
    for place in ["~/config", "$LAB/config", "${LAB}/config"] {
        let environment: Environment =
            [("HOME", home.as_str()), ("LAB", home.as_str()), ("AWS_CONFIG_FILE", place)].into_iter().collect();
        let resolved = resolve(&S3Options::default(), &environment).unwrap();
        assert_eq!(resolved.settings.region.as_deref(), Some("eu-west-3"), "{place}");
    }
}

#[test]
fn what_the_sdk_would_cut_is_refused_and_not_shortened() {
    let text = mistake(Files::new("[default]\ncredential_process = /bin/x #y\n", "").resolve(&[]));
    assert!(text.contains("credential_process"), "{text}");
}
