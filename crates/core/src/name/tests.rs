use super::*;

// faults: C6 L4
#[test]
fn service_names_that_could_escape_a_path_or_a_host_are_refused() {
    for bad in
        ["", ".", "..", "../x", "a/b", "a:b", "-x", "x-", "A", "ａ", "a\0", "a\n", "a.b", &"a".repeat(64)]
    {
        let error = bad.parse::<ServiceName>().unwrap_err().to_string();
        assert!(error.contains(SERVICE_PATTERN), "{error}");
    }
    for good in ["a", "api", "my-app_2", &"a".repeat(63)] {
        assert_eq!(good.parse::<ServiceName>().unwrap().as_str(), good);
    }
}

#[test]
fn ids_fold_case_and_refuse_dot_dot() {
    assert_eq!("User.1".parse::<Id>().unwrap().as_str(), "user.1");
    for bad in ["", "a..b", "../../etc", "a b", "$(id)", "%2e", "🙂", ".a", "a.", &"a".repeat(300)] {
        assert!(bad.parse::<Id>().is_err(), "{bad}");
    }
}

#[test]
fn an_instance_is_service_colon_id() {
    let name: InstanceName = "api:User123".parse().unwrap();
    assert_eq!(name.to_string(), "api:user123");
    assert!("api".parse::<InstanceName>().is_err());
    assert!("api:a:b".parse::<InstanceName>().is_err());
}

#[test]
fn the_first_of_a_service_is_a_name_and_comes_before_all_others() {
    let first = InstanceName::first_of(&"api".parse().unwrap());
    assert_eq!(first.to_string().parse(), Ok(first.clone()));
    let alphabet = ('0'..='9').chain('a'..='z');
    assert!(alphabet.map(|id| InstanceName::new("api", &id.to_string()).unwrap()).all(|name| first <= name));
    assert!(
        InstanceName::new("api", "0-0").unwrap() > first && InstanceName::new("ap", "z").unwrap() < first
    );
    assert!(InstanceName::new("api-2", "0").unwrap() > InstanceName::new("api", "z").unwrap());
}
