//! `DELETE /resource/sessions`

use crate::harness::{Latchkey, Request, User, all_at_once, latchkey, session_id};

const PATH: &str = "/resource/sessions";

fn end_others(latchkey: &Latchkey, user: &User) -> Request {
    latchkey.by(user, "DELETE", PATH)
}

#[tokio::test]
async fn every_other_session_is_ended_at_once_and_ones_own_goes_on() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("others").await;
    let other = latchkey.signed_up("others-other").await;
    let ended = [
        latchkey.signed_in(&user).await,
        latchkey.signed_in(&user).await,
    ];
    for _ in 0..2 {
        let answer = end_others(latchkey, &user).send().await;
        answer.is_empty(204);
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!(
            latchkey.session_ids(&user).await,
            [session_id(&user.session)]
        );
    }
    for session in &ended {
        latchkey
            .get(PATH)
            .cookie(session)
            .send()
            .await
            .is_refused(401, &["authz.invalid_session"]);
        latchkey
            .sign_out(session)
            .send()
            .await
            .is_refused(404, &["identity.session.not_found"]);
    }
    // Her csrf token holds on, she may sign in again, and nobody else is concerned.
    let again = latchkey.signed_in(&user).await;
    assert_eq!(latchkey.session_ids(&user).await.len(), 2);
    latchkey
        .by(&user, "DELETE", &format!("{PATH}/{}", session_id(&again)))
        .send()
        .await
        .is_empty(204);
    assert_eq!(
        latchkey.session_ids(&other).await,
        [session_id(&other.session)]
    );
}

#[tokio::test]
async fn it_is_recorded_and_counts_as_a_use_of_ones_own_session() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("others-recorded").await;
    latchkey.age_session(&user, &user.session, 1700).await;
    end_others(latchkey, &user).send().await.is_empty(204);
    // The use that was noted at the gate is not lost with the old epoch: it moved the idle end on.
    latchkey.age_session(&user, &user.session, 1700).await;
    let activities = latchkey
        .get("/resource/users/activity/session")
        .cookie(&user.session)
        .send()
        .await;
    assert_eq!(activities.status, 200, "{activities:?}");
    let activities = activities.json();
    assert_eq!(
        (&activities[0]["action"], &activities[0]["result"]),
        (&"logout".into(), &"succeed".into())
    );
    assert_eq!(activities.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_body_is_read_by_the_same_rules_as_everywhere() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("others-body").await;
    let session = latchkey.signed_in(&user).await;
    let request = || end_others(latchkey, &user);
    latchkey
        .refuses(
            &user,
            request().body("text/plain", "x"),
            415,
            &["request.unsupported_media_type"],
        )
        .await;
    latchkey
        .refuses(
            &user,
            request().body("application/json", "{"),
            400,
            &["request.malformed_body"],
        )
        .await;
    let large = vec![b' '; 16 * 1024 + 1];
    latchkey
        .refuses(
            &user,
            request().body("application/json", large),
            413,
            &["request.too_large"],
        )
        .await;
    latchkey.sign_out(&session).send().await.is_empty(204);
    request()
        .form(&[("any", "thing")])
        .send()
        .await
        .is_empty(204);
}

#[tokio::test]
async fn of_sixteen_sessions_that_end_the_others_at_once_one_is_left() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("others-race").await;
    let mut people = Vec::new();
    for _ in 0..16 {
        people.push(latchkey.signed_in_anew(&user).await);
    }
    let answers = all_at_once(people.iter().map(|person| end_others(latchkey, person))).await;
    let winners: Vec<&User> = people
        .iter()
        .zip(&answers)
        .filter(|(_, answer)| answer.status == 204)
        .map(|(person, _)| person)
        .collect();
    let [winner] = winners[..] else {
        panic!("{answers:?}")
    };
    for loser in answers.iter().filter(|answer| answer.status != 204) {
        loser.is_refused(401, &["authz.invalid_session"]);
    }
    assert_eq!(
        latchkey.session_ids(winner).await,
        [session_id(&winner.session)]
    );
}

#[tokio::test]
async fn sixteen_requests_of_one_session_at_once_all_succeed_and_it_goes_on() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("others-repeated").await;
    let ended = latchkey.signed_in(&user).await;
    for answer in all_at_once((0..16).map(|_| end_others(latchkey, &user))).await {
        answer.is_empty(204);
    }
    assert_eq!(
        latchkey.session_ids(&user).await,
        [session_id(&user.session)]
    );
    latchkey
        .sign_out(&ended)
        .send()
        .await
        .is_refused(404, &["identity.session.not_found"]);
}
