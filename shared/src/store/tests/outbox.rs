//! The outbox.

use super::{NOW, ask, at_once, reset_mail, signed_up, store};
use crate::{
    domain::one_time_code::{Kind, OneTimeCode},
    store::Claim,
};

#[tokio::test]
async fn of_eight_deliveries_of_a_mail_at_once_one_sends_it() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let code = OneTimeCode::new(3600, NOW);
    let mail = reset_mail(&user, &code);
    ask(&store, &user, Kind::Reset, &code, &mail).await;
    let claims = at_once(8, |_| {
        let store = store.clone();
        let mail = mail.clone();
        async move {
            store
                .claim_mail(&mail.uid, &mail.id, NOW)
                .await
                .expect("an answer")
        }
    })
    .await;
    assert_eq!(
        claims
            .iter()
            .filter(|&claim| *claim == Claim::Claimed(mail.clone()))
            .count(),
        1
    );
    assert_eq!(
        claims.iter().filter(|&claim| *claim == Claim::Busy).count(),
        7
    );
    let claim = async |now| {
        store
            .claim_mail(&mail.uid, &mail.id, now)
            .await
            .expect("an answer")
    };
    store
        .release_mail(&mail.uid, &mail.id, NOW)
        .await
        .expect("an answer");
    assert_eq!(claim(NOW).await, Claim::Claimed(mail.clone()));
    assert_eq!(claim(NOW + 59).await, Claim::Busy);
    assert_eq!(
        claim(NOW + 60).await,
        Claim::Claimed(mail.clone()),
        "a delivery that was lost does not hold the mail for ever"
    );
    store
        .settle_mail(&mail.uid, &mail.id, NOW + 61)
        .await
        .expect("an answer");
    assert_eq!(claim(NOW + 600).await, Claim::Settled);
}
