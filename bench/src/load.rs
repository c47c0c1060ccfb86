//! Load test of the development stack, with an increasing number of concurrent clients.

use crate::{
    plot,
    series::{Series, Step},
    statistics::{milliseconds, quantile},
    subject::count,
};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use local::{Error, Log, Moment, Options, Stack};
use serde_json::json;
use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::task::JoinSet;

const PASSWORD: &str = "Correct-Horse-42";

/// Loads the development stack with sign-ins, then with session checks.
///
/// Prints one line per number of clients. Each client sends its next request when it has received
/// the response to the previous one.
#[derive(Args)]
pub struct Load {
    /// Duration of each step, in seconds
    #[arg(long, value_name = "S", default_value_t = 5)]
    seconds: u64,

    /// Number of concurrent clients of each step
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        default_value = "1,2,4,8,16,32"
    )]
    clients: Vec<usize>,

    /// Write a chart of the results to this file, as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Clone)]
struct Client {
    url: String,
    http: reqwest::Client,
    email: String,
    cookie: String,
}

impl Load {
    pub async fn run(self) -> Result<(), Error> {
        let binaries = local::cargo_build(&[
            "--release",
            "--package=latchkey-functions",
            "--bin=session-create",
            "--bin=user-create",
            "--bin=user-me",
            "--bin=mail-send",
        ])
        .await?;
        let stack = Stack::start(Options {
            listen: ([127, 0, 0, 1], 0).into(),
            data_dir: None,
            binaries,
            log: Log::Captured(Arc::<Mutex<Vec<String>>>::default()),
            ..Options::default()
        })
        .await?;
        let series = self.series(&stack).await;
        stack.stop().await;
        let series = series?;
        for Series { name, steps } in &series {
            local::print_line(format_args!(
                "\n{name:16}{:>10}{:>9}{:>9}{:>9}",
                "per second", "p50 ms", "p95 ms", "p99 ms"
            ))?;
            for step in steps {
                local::print_line(format_args!(
                    "{:>16}{:10.1}{:9.1}{:9.1}{:9.1}",
                    step.clients, step.per_second, step.p50, step.p95, step.p99
                ))?;
            }
        }
        if let Some(file) = &self.svg {
            fs::write(file, plot::svg(&series)?)
                .map_err(|error| Error::new(format!("{}: {error}", file.display())))?;
        }
        Ok(())
    }

    async fn series(&self, stack: &Stack) -> Result<Vec<Series>, Error> {
        let most = self.clients.iter().copied().max().unwrap_or_default();
        let style = ProgressStyle::with_template("{msg:24} {bar:40} {pos}/{len}")
            .unwrap_or(ProgressStyle::default_bar());
        let steps = u64::try_from(2 * self.clients.len()).unwrap_or_default();
        let progress = ProgressBar::new(steps).with_style(style);
        let mut clients = Vec::new();
        for number in 0..most {
            clients.push(Client::signed_up(stack.url(), number).await?);
        }
        let mut sign_ins = Vec::new();
        let mut checks = Vec::new();
        for &count in &self.clients {
            progress.set_message(format!("{count} clients sign in"));
            sign_ins.push(self.step(&clients[..count], Client::signs_in).await?);
            progress.inc(1);
        }
        for &count in &self.clients {
            progress.set_message(format!("{count} clients check"));
            checks.push(self.step(&clients[..count], Client::checks_session).await?);
            progress.inc(1);
        }
        progress.finish_and_clear();
        Ok(vec![
            Series {
                name: "sign-ins",
                steps: sign_ins,
            },
            Series {
                name: "session checks",
                steps: checks,
            },
        ])
    }

    async fn step<F>(&self, clients: &[Client], request: fn(Client) -> F) -> Result<Step, Error>
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        // Warm-up: the first requests start the instances, and cold starts are not measured here.
        clients
            .iter()
            .cloned()
            .map(request)
            .collect::<JoinSet<_>>()
            .join_all()
            .await
            .into_iter()
            .collect::<Result<(), _>>()?;
        let begun = Moment::now();
        let limit = Duration::from_secs(self.seconds);
        let work = clients.iter().cloned().map(|client| async move {
            let mut times = Vec::new();
            while begun.elapsed() < limit {
                let sent = Moment::now();
                request(client.clone()).await?;
                times.push(milliseconds(sent.elapsed()));
            }
            Ok::<_, Error>(times)
        });
        let times = work
            .collect::<JoinSet<_>>()
            .join_all()
            .await
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?
            .concat();
        Ok(Step {
            clients: clients.len(),
            per_second: count(times.len()) / begun.elapsed().as_secs_f64(),
            p50: quantile(&times, 0.5),
            p95: quantile(&times, 0.95),
            p99: quantile(&times, 0.99),
        })
    }
}

impl Client {
    async fn signed_up(url: &str, number: usize) -> Result<Self, Error> {
        let email = format!("user-{number}@example.com");
        let http = reqwest::Client::new();
        let credentials = json!({ "email": email, "password": PASSWORD });
        let answer = http
            .post(format!("{url}/identity/users"))
            .json(&credentials)
            .send()
            .await?;
        let cookies = answer
            .headers()
            .get_all("set-cookie")
            .iter()
            .filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
        let cookie = cookies.collect::<Vec<_>>().join("; ");
        Ok(Self {
            url: url.to_owned(),
            http,
            email,
            cookie,
        })
    }

    async fn signs_in(self) -> Result<(), Error> {
        let credentials = json!({ "email": self.email, "password": PASSWORD });
        expect(
            201,
            self.http
                .post(format!("{}/identity/sessions", self.url))
                .json(&credentials),
        )
        .await
    }

    async fn checks_session(self) -> Result<(), Error> {
        expect(
            200,
            self.http
                .get(format!("{}/resource/users/me", self.url))
                .header("cookie", self.cookie),
        )
        .await
    }
}

async fn expect(status: u16, request: reqwest::RequestBuilder) -> Result<(), Error> {
    let answer = request.send().await?;
    let url = answer.url().clone();
    let returned = answer.status().as_u16();
    answer.bytes().await?;
    if returned == status {
        Ok(())
    } else {
        Err(Error::new(format!(
            "{url} returned {returned} instead of {status}."
        )))
    }
}
