//! `GET /resource/api_keys`

use serde_json::json;

use crate::harness::latchkey;

const PATH: &str = "/resource/api_keys";

#[tokio::test]
async fn the_list_is_empty() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("api-keys").await;
    for request in [
        latchkey.get(PATH).cookie(&user.session),
        latchkey.get(PATH).bearer(&user.session),
        latchkey
            .get(&format!("{PATH}?page=2&limit=10"))
            .cookie(&user.session),
    ] {
        let answer = request.send().await;
        assert_eq!((answer.status, answer.json()), (200, json!([])));
        assert_eq!(answer.header("total"), Some("0"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}
