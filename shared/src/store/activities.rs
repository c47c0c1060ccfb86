//! Storage of activities.

use super::{
    Item, Store, failure,
    items::{keyed, read},
    keys::{ACTIVITY, activity_key, decoy_key},
    writes::activity_item,
};
use crate::{
    Error,
    domain::{
        activity::{Activity, ActivityResult, Topic},
        email_address::AccountKey,
        user::Uid,
    },
    platform::clock::Timestamp,
};

/// Retention of a decoy, in seconds.
const DECOY_LIFE: i64 = 60;

/// A page of activities to read.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest {
    /// Number of the page, from 1.
    pub page: usize,
    /// Maximum number of activities on a page, at least 1.
    pub limit: usize,
}

/// A page of a user's activities.
#[derive(Debug, PartialEq, Eq)]
pub struct ActivityPage {
    /// The activities, newest first.
    pub activities: Vec<Activity>,
    /// Number of activities on all pages, at most 1,000.
    pub total: usize,
    /// Number of this page, from 1; that of the last page if the request exceeds it.
    pub page: usize,
}

impl Store {
    async fn put_grant(&self, item: Item) -> Result<(), Error> {
        self.client
            .put_item()
            .table_name(&self.grants)
            .set_item(Some(item))
            .send()
            .await
            .map_err(failure)?;
        Ok(())
    }

    /// Stores an activity.
    pub async fn record(&self, activity: &Activity) -> Result<(), Error> {
        self.put_grant(activity_item(activity)?).await
    }

    /// Whether the user has an activity with this id and the result "succeed".
    pub(super) async fn has_succeeded(&self, uid: &Uid, id: &str) -> Result<bool, Error> {
        let request = self
            .client
            .get_item()
            .table_name(&self.grants)
            .set_key(Some(activity_key(uid, id)))
            .consistent_read(true);
        let activity: Option<Activity> = request
            .send()
            .await
            .map_err(failure)?
            .item
            .map(read)
            .transpose()?;
        Ok(activity.is_some_and(|activity| activity.result == ActivityResult::Succeed))
    }

    /// Stores a decoy of an activity for an address without an account, so that the request takes
    /// as long as [`Store::record`].
    pub async fn record_decoy(
        &self,
        account: &AccountKey,
        activity: &Activity,
        now: Timestamp,
    ) -> Result<(), Error> {
        let decoy = Activity {
            expires_at: now + DECOY_LIFE,
            ..activity.clone()
        };
        let key = decoy_key(account, &activity.id);
        self.put_grant(keyed(key, &decoy)?).await
    }

    /// A page of the user's newest 1,000 activities, newest first, of one topic or of all topics.
    /// Older ones are neither read nor counted.
    pub async fn activities(
        &self,
        uid: &Uid,
        topic: Option<Topic>,
        PageRequest { page, limit }: PageRequest,
        now: Timestamp,
    ) -> Result<ActivityPage, Error> {
        let mut all: Vec<Activity> = Vec::new();
        for item in self.newest(uid, ACTIVITY).await? {
            let activity: Activity = read(item)?;
            let is_wanted = topic.is_none_or(|topic| activity.action.topic() == topic);
            if is_wanted && activity.expires_at > now {
                all.push(activity);
            }
        }
        let total = all.len();
        let limit = limit.max(1);
        let page = page.clamp(1, total.div_ceil(limit).max(1));
        let activities = all
            .into_iter()
            .skip((page - 1) * limit)
            .take(limit)
            .collect();
        Ok(ActivityPage {
            activities,
            total,
            page,
        })
    }
}
