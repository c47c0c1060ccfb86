//! Activities

use super::{NOW, new_user, store};
use crate::{
    domain::{
        activity::{Action, Activity, Recorder, Topic},
        session::Client,
        user::User,
    },
    platform::clock::Timestamp,
    store::{ActivityPage, PageRequest, Store, items::text},
};

/// Records an activity, this number of milliseconds after `NOW`.
async fn record(store: &Store, user: &User, action: Action, milliseconds: i64) -> Activity {
    let client = Client {
        address: "192.0.2.1".to_owned(),
        user_agent: "test".to_owned(),
    };
    let now = Timestamp::from_milliseconds(NOW.milliseconds() + milliseconds);
    let activity = Recorder {
        client: &client,
        life: 60,
        now,
    }
    .succeeded(&user.uid, action);
    store.record(&activity).await.expect("an answer");
    activity
}

async fn page(
    store: &Store,
    user: &User,
    topic: Option<Topic>,
    (page, limit): (usize, usize),
) -> ActivityPage {
    store
        .activities(&user.uid, topic, PageRequest { page, limit }, NOW)
        .await
        .expect("an answer")
}

fn ids(page: &ActivityPage) -> Vec<&str> {
    page.activities
        .iter()
        .map(|activity| activity.id.as_str())
        .collect()
}

#[tokio::test]
async fn activities_are_returned_as_recorded_newest_first() {
    let store = store().await;
    let user = new_user("jane@example.com");
    let mut recorded = Vec::new();
    for milliseconds in [5, 1, 999, 1000, 2] {
        recorded.push(record(&store, &user, Action::Login, milliseconds).await);
    }
    record(&store, &new_user("john@example.com"), Action::Login, 3).await;
    recorded.sort_by(|one, other| other.id.cmp(&one.id));
    let found = page(&store, &user, None, (1, 100)).await;
    assert_eq!((found.total, found.page), (5, 1));
    // Times are stored in whole seconds; ids preserve the order within a second.
    assert_eq!(
        ids(&found),
        recorded
            .iter()
            .map(|activity| activity.id.as_str())
            .collect::<Vec<_>>()
    );
    assert_eq!(
        (
            found.activities[0].created_at,
            &found.activities[0].user_agent
        ),
        (NOW + 1, &"test".to_owned())
    );
}

#[tokio::test]
async fn a_topic_excludes_activities_of_other_topics() {
    let store = store().await;
    let user = new_user("jane@example.com");
    for (number, action) in [
        Action::SignUp,
        Action::Login,
        Action::PasswordChange,
        Action::EnableOtp,
        Action::Logout,
    ]
    .into_iter()
    .enumerate()
    {
        record(
            &store,
            &user,
            action,
            i64::try_from(number).expect("a number"),
        )
        .await;
    }
    for (topic, expected) in [
        (Topic::Session, &[Action::Logout, Action::Login][..]),
        (Topic::Password, &[Action::PasswordChange]),
        (Topic::Otp, &[Action::EnableOtp]),
        (Topic::Account, &[Action::SignUp]),
    ] {
        let found = page(&store, &user, Some(topic), (1, 100)).await;
        assert_eq!(
            found
                .activities
                .iter()
                .map(|activity| activity.action)
                .collect::<Vec<_>>(),
            expected
        );
        assert_eq!(found.total, expected.len());
    }
}

#[tokio::test]
async fn pages_are_contiguous_and_a_page_out_of_range_is_the_nearest_one() {
    let store = store().await;
    let user = new_user("jane@example.com");
    for milliseconds in 0..5 {
        record(&store, &user, Action::Login, milliseconds).await;
    }
    let all = page(&store, &user, None, (1, 100)).await;
    for (requested, returned, range) in [
        ((1, 2), 1, 0..2),
        ((2, 2), 2, 2..4),
        ((3, 2), 3, 4..5),
        ((4, 2), 3, 4..5),
        ((usize::MAX, 2), 3, 4..5),
        ((0, 2), 1, 0..2),
        ((5, 1), 5, 4..5),
        ((1, 0), 1, 0..1),
        ((2, 5), 1, 0..5),
        ((usize::MAX, usize::MAX), 1, 0..5),
    ] {
        let found = page(&store, &user, None, requested).await;
        assert_eq!(
            (found.page, found.total, ids(&found)),
            (returned, 5, ids(&all)[range].to_vec()),
            "{requested:?}"
        );
    }
    let none = page(&store, &new_user("john@example.com"), None, (7, 2)).await;
    assert_eq!((none.page, none.total, none.activities), (1, 0, Vec::new()));
}

#[tokio::test]
async fn expired_activities_are_excluded() {
    let store = store().await;
    let user = new_user("jane@example.com");
    record(&store, &user, Action::Login, 0).await;
    record(&store, &user, Action::Login, 1000).await;
    for (after, total) in [(0, 2), (59, 2), (60, 1), (61, 0)] {
        let found = store
            .activities(
                &user.uid,
                None,
                PageRequest {
                    page: 1,
                    limit: 100,
                },
                NOW + after,
            )
            .await
            .expect("an answer");
        assert_eq!(
            (found.total, found.activities.len()),
            (total, total),
            "{after}"
        );
    }
}

#[tokio::test]
async fn every_page_of_a_query_is_read() {
    let store = store().await;
    let user = new_user("jane@example.com");
    // DynamoDB returns at most 1 MB per query.
    let client = Client {
        address: "192.0.2.1".to_owned(),
        user_agent: "x".repeat(100_000),
    };
    for number in 0..12 {
        let now = Timestamp::from_milliseconds(NOW.milliseconds() + number);
        let activity = Recorder {
            client: &client,
            life: 60,
            now,
        }
        .succeeded(&user.uid, Action::Login);
        store.record(&activity).await.expect("an answer");
    }
    let found = page(&store, &user, None, (1, 100)).await;
    assert_eq!((found.total, found.activities.len()), (12, 12));
    assert!(ids(&found).is_sorted_by(|one, other| one > other));
}

/// Stores an item that cannot be read as an activity or a session.
pub(super) async fn put_unreadable(store: &Store, user: &User, sort_key: &str) {
    let put = store.client.put_item().table_name(&store.grants);
    put.item("pk", text(user.uid.as_str()))
        .item("sk", text(sort_key))
        .send()
        .await
        .expect("an item");
}

#[tokio::test]
async fn the_newest_thousand_activities_are_listed_and_counted_and_no_more_are_read() {
    let store = store().await;
    let user = new_user("jane@example.com");
    put_unreadable(&store, &user, "ACTIVITY#0").await;
    let client = Client {
        address: "192.0.2.1".to_owned(),
        // A query returns at most a megabyte at once.
        user_agent: "x".repeat(1500),
    };
    for number in 0..1000 {
        let action = if number == 0 {
            Action::SignUp
        } else {
            Action::Login
        };
        let recorder = Recorder {
            client: &client,
            life: 60,
            now: Timestamp::from_milliseconds(NOW.milliseconds() + number),
        };
        let activity = recorder.succeeded(&user.uid, action);
        store.record(&activity).await.expect("an answer");
    }
    for (topic, total) in [(None, 1000), (Some(Topic::Account), 1)] {
        let found = page(&store, &user, topic, (1, 100)).await;
        assert_eq!(found.total, total, "{topic:?}");
    }
    let oldest = page(&store, &user, None, (1000, 1)).await;
    assert_eq!(oldest.activities[0].action, Action::SignUp);
    // One more, and the oldest is no longer listed.
    record(&store, &user, Action::Login, 2000).await;
    let found = page(&store, &user, None, (1, 100)).await;
    assert_eq!(found.total, 1000);
    let none = page(&store, &user, Some(Topic::Account), (1, 100)).await;
    assert_eq!(none.total, 0);
}
