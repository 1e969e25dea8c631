//! Tests of scopes, roles and key ids.

use super::*;

fn scopes(patterns: &[&str]) -> Scopes {
    Scopes::new(patterns.iter().map(|one| Name::from(*one)))
}

#[test]
fn a_scope_is_a_name_or_a_prefix() {
    let some = scopes(&["mail", "shop.*"]);
    for queue in ["mail", "shop.", "shop.a", "shop.a.b"] {
        assert!(some.contains(queue), "{queue}");
    }
    for queue in ["", "mai", "mail2", "shop", "shopX", "Shop.a"] {
        assert!(!some.contains(queue), "{queue}");
    }
    assert!(Scopes::ALL.contains("anything") && scopes(&[]).is_all());
}

#[test]
fn invalid_scopes_are_refused() {
    assert_eq!(scopes(&["a", "b.*"]).violations("queues"), []);
    for bad in ["", "*", "a*b", "a**", "a b", "ä"] {
        assert!(!scopes(&[bad]).violations("queues").is_empty(), "{bad:?}");
    }
    let many: Vec<Name> = (0..=KEY_QUEUES).map(|n| format!("q{n}").into()).collect();
    assert_eq!(Scopes::new(many[1..].to_vec()).violations("queues"), []);
    assert_eq!(Scopes::new(many).violations("queues").len(), 1);
}

#[test]
fn key_ids_survive_a_round_trip() {
    for id in [0, 1, 0xdead_beef, u64::MAX] {
        assert_eq!(KeyId(id).to_string().parse(), Ok(KeyId(id)));
    }
    for bad in ["", "0", "00000000000000000", "000000000000000g", "+00000000000000f"] {
        assert_eq!(bad.parse::<KeyId>(), Err(ParseKeyIdError), "{bad}");
    }
}

#[test]
fn roles_survive_a_round_trip() {
    for role in Role::ALL {
        assert_eq!(role.as_str().parse(), Ok(role));
    }
    assert!("root".parse::<Role>().is_err());
}

#[test]
fn an_actor_is_limited_in_length() {
    assert_eq!(actor("panel", ""), "panel");
    assert_eq!(actor("panel", "panel"), "panel");
    assert_eq!(actor("panel", "ann"), "panel:ann");
    let long = actor(&"n".repeat(128), &"ü".repeat(200));
    assert!(long.len() <= 256, "{}", long.len());
}
