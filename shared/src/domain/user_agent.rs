//! What a `User-Agent` header says about a device: its browser and its system.
//!
//! A name is found by the first entry of a table whose text the header contains. The script of the
//! pages does the same with the same tables.

/// Browsers and other clients: text in the header, and name. Browsers also name those from which
/// they descend, so descendants come first.
pub static BROWSERS: [(&str, &str); 22] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("Opera", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("YaBrowser/", "Yandex Browser"),
    ("Vivaldi/", "Vivaldi"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("UCBrowser/", "UC Browser"),
    ("MiuiBrowser/", "Mi Browser"),
    ("HuaweiBrowser/", "Huawei Browser"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("Trident/", "Internet Explorer"),
    ("MSIE ", "Internet Explorer"),
    ("curl/", "curl"),
    ("PostmanRuntime/", "Postman"),
    ("python-requests/", "Python"),
];

/// Operating systems and devices: text in the header, and name.
pub static SYSTEMS: [(&str, &str); 10] = [
    ("Windows Phone", "Windows Phone"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("HarmonyOS", "HarmonyOS"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

/// The browser and the system of a device; `None` if the header does not name a known one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// The browser or another client, such as "Chrome".
    pub browser: Option<&'static str>,
    /// The operating system or the device, such as "Windows" or "iPad".
    pub system: Option<&'static str>,
}

impl Device {
    /// The device that a `User-Agent` header describes.
    #[must_use]
    pub fn of(user_agent: &str) -> Self {
        let name = |table: &[(&'static str, &'static str)]| {
            table
                .iter()
                .find(|(text, _)| user_agent.contains(text))
                .map(|(_, name)| *name)
        };
        Self {
            browser: name(&BROWSERS),
            system: name(&SYSTEMS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_and_the_system_are_named() {
        for (user_agent, browser, system) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
                "Chrome",
                "Windows",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
                "Edge",
                "Windows",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
                "Safari",
                "macOS",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/131.0.0.0 Mobile/15E148 Safari/604.1",
                "Chrome",
                "iPhone",
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/132.0 Mobile/15E148 Safari/605.1.15",
                "Firefox",
                "iPad",
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36",
                "Samsung Internet",
                "Android",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
                "Firefox",
                "Linux",
            ),
            (
                "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
                "Chrome",
                "ChromeOS",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 OPR/116.0.0.0",
                "Opera",
                "Windows",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
                "Internet Explorer",
                "Windows",
            ),
            (
                "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/52.0.2743.116 Mobile Safari/537.36 Edge/15.15063",
                "Edge",
                "Windows Phone",
            ),
        ] {
            let expected = Device {
                browser: Some(browser),
                system: Some(system),
            };
            assert_eq!(Device::of(user_agent), expected, "{user_agent}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_named() {
        let named = |user_agent| {
            let Device { browser, system } = Device::of(user_agent);
            (browser, system)
        };
        assert_eq!(named("curl/8.5.0"), (Some("curl"), None));
        assert_eq!(named("Example/1.0 (Android 15)"), (None, Some("Android")));
        for user_agent in ["", "Example/1.0", "<script>alert(1)</script>", "\u{202e}"] {
            assert_eq!(named(user_agent), (None, None), "{user_agent:?}");
        }
    }

    #[test]
    fn no_entry_is_hidden_by_an_earlier_one() {
        for table in [&BROWSERS[..], &SYSTEMS[..]] {
            for (index, (text, _)) in table.iter().enumerate() {
                let earlier = table[..index]
                    .iter()
                    .find(|(other, _)| text.contains(other));
                assert_eq!(earlier, None, "{text}");
            }
        }
    }
}
