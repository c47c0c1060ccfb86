use super::*;

const PROJECT: &str = include_str!("../../../template.yaml");
const SMALL: &str = include_str!("../../tests/template.yaml");

fn parameters(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    [
        ("Domain", "http://localhost:3000"),
        ("SenderEmail", "noreply@example.com"),
    ]
    .iter()
    .chain(pairs)
    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
    .collect()
}

fn function<'a>(template: &'a Template, name: &str) -> &'a Function {
    template
        .functions
        .iter()
        .find(|function| function.name == name)
        .unwrap()
}

#[test]
fn a_function_has_the_global_variables_and_its_own() {
    let domain = |pages, function_name| {
        let parameters = parameters(&[("Pages", pages), ("PagesUrl", "http://localhost:4000")]);
        let template = Template::parse(PROJECT, &parameters).unwrap();
        let function = function(&template, function_name);
        assert_eq!(function.environment["IDENTITY_USERS_TABLE"], "UsersTable");
        function.environment["IDENTITY_DOMAIN"].clone()
    };
    assert_eq!(domain("off", "MailSendFunction"), "http://localhost:3000");
    assert_eq!(domain("on", "MailSendFunction"), "http://localhost:4000");
    assert_eq!(
        domain("on", "SessionCreateFunction"),
        "http://localhost:3000"
    );
}

#[test]
fn the_template_of_the_project_is_supported() {
    let template = Template::parse(PROJECT, &parameters(&[])).unwrap();
    let sign_in = function(&template, "SessionCreateFunction");
    assert_eq!(sign_in.binary, "session-create");
    assert_eq!(
        sign_in.routes,
        [Route {
            method: "POST".to_owned(),
            path: "/identity/sessions".to_owned()
        }]
    );
    for (variable, value) in [
        ("IDENTITY_DOMAIN", "http://localhost:3000"),
        ("IDENTITY_SESSION_EXPIRE_TIME", "1800"),
        ("IDENTITY_CDN_SECRET_SHA256", ""),
        ("IDENTITY_USERS_TABLE", "UsersTable"),
        (
            "IDENTITY_TOKEN_SECRET",
            "arn:aws:secretsmanager:us-east-1:000000000000:secret:TokenSecret",
        ),
        ("IDENTITY_MAIL_CONFIGURATION_SET", "MailConfigurationSet"),
        ("IDENTITY_METRICS_NAMESPACE", "Latchkey/local"),
    ] {
        assert_eq!(sign_in.environment[variable], value, "{variable}");
    }
    let source = &function(&template, "MailSendFunction").streams[0];
    assert_eq!(source.table, "GrantsTable");
    assert_eq!(source.maximum_age, Some(Duration::from_hours(24)));
    let grants = template
        .tables
        .iter()
        .find(|table| table.name == "GrantsTable")
        .unwrap();
    assert_eq!(
        grants
            .keys
            .iter()
            .map(|key| key.name.as_str())
            .collect::<Vec<_>>(),
        ["pk", "sk"]
    );
    assert_eq!(grants.ttl_attribute.as_deref(), Some("expires_at"));
    assert_eq!(template.secrets[0].generate.password_length, 64);
    let data = &template.secrets[1];
    assert_eq!(
        (data.name.as_str(), data.generate.password_length),
        ("DataSecret", 64)
    );
    assert_eq!(
        data.generate.secret_string_template.as_deref(),
        Some(r#"{"current": "1"}"#)
    );
    assert_eq!(data.generate.generate_string_key.as_deref(), Some("1"));
    assert_eq!(template.configuration_sets, ["MailConfigurationSet"]);
    let destination = EventDestination {
        configuration_set: "MailConfigurationSet".to_owned(),
        event_types: vec!["bounce".to_owned(), "complaint".to_owned()],
    };
    assert_eq!(template.event_destinations, [destination]);
    let feedback = function(&template, "MailFeedbackFunction");
    assert_eq!(
        feedback.rules[0]["detail"]["mail"]["tags"]["ses:configuration-set"][0],
        "MailConfigurationSet"
    );
    assert_eq!(feedback.asynchronous_retries, 2);
}

#[test]
fn an_unsupported_event_destination_or_rule_is_rejected() {
    let at = "Resources.MailFeedbackDestination.Properties.EventDestination";
    for (from, to, expected) in [
        (
            "[bounce, complaint]",
            "[bounce, open]",
            format!("{at}.MatchingEventTypes: open is not supported"),
        ),
        (
            "event-bus/default",
            "event-bus/mine",
            format!("{at}.EventBridgeDestination.EventBusArn: "),
        ),
        (
            "        Enabled: true\n        Matching",
            "        Enabled: true\n        Name: x\n        Matching",
            format!("{at}.Name: unknown field"),
        ),
        (
            "ConfigurationSetName: !Ref MailConfigurationSet",
            "ConfigurationSetName: other",
            "an event destination refers to other, which is not a configuration set".to_owned(),
        ),
        (
            "source: [aws.ses]",
            "source: [{ suffix: ses }]",
            "Resources.MailFeedbackFunction.Properties.Events.Feedback.Pattern: ".to_owned(),
        ),
    ] {
        let changed = PROJECT.replace(from, to);
        assert_ne!(changed, PROJECT, "{from}");
        let error = Template::parse(&changed, &parameters(&[]))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(&expected), "{expected}\n{error}");
    }
}

#[test]
fn a_resource_exists_if_its_condition_holds() {
    let conditional = PROJECT
        .replace(
            "\nConditions:\n",
            "\nConditions:\n  IsAcme: !Equals [!Ref AppName, Acme]\n",
        )
        .replace(
            "  PingFunction:\n",
            "  PingFunction:\n    Condition: IsAcme\n",
        );
    let has_ping = |app_name| {
        let template =
            Template::parse(&conditional, &parameters(&[("AppName", app_name)])).unwrap();
        template
            .functions
            .iter()
            .any(|function| function.name == "PingFunction")
    };
    assert!(has_ping("Acme") && !has_ping("Latchkey"));
}

#[test]
fn a_function_without_events_has_no_routes_and_streams() {
    let authorizer = Template::parse(PROJECT, &parameters(&[])).unwrap();
    let authorizer = function(&authorizer, "AuthorizeFunction");
    assert!(
        authorizer.routes.is_empty() && authorizer.streams.is_empty(),
        "{authorizer:?}"
    );
}

#[test]
fn allowed_origins_default_to_the_domain() {
    let origins = |parameter| {
        Template::parse(PROJECT, &parameters(&[("CorsAllowedOrigins", parameter)]))
            .unwrap()
            .cors
            .unwrap()
            .allow_origins
    };
    assert_eq!(origins(""), ["http://localhost:3000"]);
    assert_eq!(
        origins("https://a.example,https://b.example"),
        ["https://a.example", "https://b.example"]
    );
}

#[test]
fn the_error_for_a_parameter_without_a_value_names_it() {
    let error = Template::parse(SMALL, &BTreeMap::new())
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "Parameters.Domain: no default, and IDENTITY_DOMAIN is not set"
    );
}

/// A text of [`SMALL`], its replacement, and the beginning of the error.
const UNSUPPORTED: &[(&str, &str, &str)] = &[
    (
        "Resources:\n",
        "Mappings: {}\nResources:\n",
        "Mappings: this section is not supported",
    ),
    (
        "AWS::SecretsManager::Secret",
        "AWS::S3::Bucket",
        "Resources.TokenSecret.Type: AWS::S3::Bucket is not supported",
    ),
    (
        "!Ref AppName",
        "!Ref Nothing",
        "Resources.EchoFunction.Properties.Environment.Variables.IDENTITY_APP_NAME: unsupported !Ref",
    ),
    (
        "!Ref AppName",
        "!Join ['', [a]]",
        "Resources.EchoFunction.Properties.Environment.Variables.IDENTITY_APP_NAME: unsupported !Join",
    ),
    (
        "    Timeout: 1\n",
        "    Timeout: 1\n    Layers: []\n",
        "Resources.EchoFunction.Properties.Layers: unknown field `Layers`",
    ),
    (
        "    Timeout: 1\n",
        "    Timeout: soon\n",
        "Resources.EchoFunction.Properties.Timeout: invalid type",
    ),
    (
        "Handler: bootstrap",
        "Handler: main",
        "Resources.EchoFunction.Properties.Handler: main is not supported, only bootstrap",
    ),
    (
        "Type: HttpApi,",
        "Type: Schedule,",
        "Resources.EchoFunction.Properties.Events.Get.Type: unknown variant `Schedule`",
    ),
    (
        "BatchSize: 1",
        "BatchSize: 2",
        "Resources.FollowFunction.Properties.Events.Follow.BatchSize: only 1 is supported",
    ),
    (
        "prefix",
        "suffix",
        "Resources.FollowFunction.Properties.Events.Follow.FilterCriteria: ",
    ),
    (
        "StreamSpecification: { StreamViewType: NEW_IMAGE }",
        "",
        "Resources.FollowFunction: the table GrantsTable has no stream",
    ),
    (
        "      BillingMode: PAY_PER_REQUEST",
        "      GlobalSecondaryIndexes: []",
        "Resources.GrantsTable.Properties.GlobalSecondaryIndexes: unknown field",
    ),
    (
        "    Type: AWS::DynamoDB::Table",
        "    Type: AWS::DynamoDB::Table\n    Condition: Sometimes",
        "Resources.GrantsTable.Condition: no such condition",
    ),
    (
        "ExcludePunctuation",
        "RequireEachIncludedType",
        "Resources.TokenSecret.Properties.GenerateSecretString.RequireEachIncludedType: unknown field",
    ),
    (
        "ExcludePunctuation: true",
        "GenerateStringKey: '1'",
        "Resources.TokenSecret.Properties.GenerateSecretString: SecretStringTemplate and GenerateStringKey require each other",
    ),
    (
        "ExcludePunctuation: true",
        "GenerateStringKey: '1', SecretStringTemplate: '[]'",
        "Resources.TokenSecret.Properties.GenerateSecretString.SecretStringTemplate: expected a JSON object",
    ),
    (
        "StageName: $default",
        "StageName: v1",
        "Resources.HttpApi.Properties.StageName: v1 is not supported, only $default",
    ),
    (
        "StageName: $default",
        "StageName: $default\n      RouteSettings: { GET /none: { ThrottlingRateLimit: 1, ThrottlingBurstLimit: 2 } }",
        "Resources.HttpApi.Properties.RouteSettings.GET /none: no function has this route",
    ),
    (
        "StageName: $default",
        "StageName: $default\n      RouteSettings: { GET /none: { ThrottlingRateLimit: 1 } }",
        "Resources.HttpApi.Properties.RouteSettings.GET /none: missing field `ThrottlingBurstLimit`",
    ),
    (
        "StageName: $default",
        "StageName: $default\n      RouteSettings: { GET /none: { ThrottlingRateLimit: 1, ThrottlingBurstLimit: 2, LoggingLevel: INFO } }",
        "Resources.HttpApi.Properties.RouteSettings.GET /none.LoggingLevel: unknown field",
    ),
    (
        "paths: {}",
        "paths: { /a: {} }",
        "Resources.HttpApi.Properties.DefinitionBody.paths: not supported",
    ),
    (
        "AppName: { Type: String,",
        "AppName: { Type: CommaDelimitedList,",
        "Parameters.AppName.Type: CommaDelimitedList is not supported",
    ),
];

#[test]
fn an_unsupported_template_is_rejected_with_the_path_of_the_cause() {
    for (from, to, expected) in UNSUPPORTED {
        let changed = SMALL.replace(from, to);
        assert_ne!(changed, SMALL, "{from}");
        let error = Template::parse(&changed, &parameters(&[]))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(expected), "{expected}\n{error}");
    }
}

#[test]
fn the_policies_of_a_function_are_read_with_its_permissions_boundary() {
    let secret = |arn: &str| {
        let template = Template::parse(PROJECT, &parameters(&[("CaptchaSecretArn", arn)])).unwrap();
        let function = function(&template, "CaptchaRegisterGeetestFunction");
        assert!(
            template
                .managed_policies
                .contains_key(function.permissions_boundary.as_ref().unwrap())
        );
        function.policies.clone()
    };
    assert_eq!(secret(""), []);
    let granted = secret("captcha");
    assert_eq!(
        (granted.len(), &granted[0].actions),
        (1, &vec!["secretsmanager:GetSecretValue".to_owned()])
    );
    let arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:captcha".to_owned();
    assert_eq!(
        granted[0].resources,
        [Resource {
            name: "CaptchaSecretArn".to_owned(),
            arn
        }]
    );

    for (was, is) in [
        (
            "PermissionsBoundary: !Ref FunctionBoundary",
            "PermissionsBoundary: !Ref UsersTable",
        ),
        (
            "Condition:\n                ForAllValues:StringLike:",
            "Condition:\n                ForAnyValue:StringLike:",
        ),
        (
            "{ dynamodb:LeadingKeys: ['USER#*'] }",
            "{ dynamodb:ReturnValues: [NONE] }",
        ),
        ("- Effect: Allow", "- Effect: Deny"),
        (
            "AWSSecretsManagerGetSecretValuePolicy:",
            "DynamoDBCrudPolicy:",
        ),
    ] {
        let changed = PROJECT.replacen(was, is, 1);
        assert_ne!(changed, PROJECT, "{was}");
        assert!(Template::parse(&changed, &parameters(&[])).is_err(), "{is}");
    }
}
