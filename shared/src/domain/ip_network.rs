//! IP networks, and the client address behind trusted proxies.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use ipnet::IpNet;

/// An IP network in CIDR notation (RFC 4632), such as `203.0.113.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Parses `address/bits` or a single address. Address bits after the prefix are ignored. An
    /// IPv4-mapped IPv6 network, such as `::ffff:203.0.113.0/120`, is an IPv4 network.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // Not `IpNet::from_str`: it accepts leading zeros, which other programs parse as octal.
        let Some((address, bits)) = text.split_once('/') else {
            return Some(Self(IpNet::from(
                text.parse::<IpAddr>().ok()?.to_canonical(),
            )));
        };
        let network = IpNet::new(address.parse().ok()?, bits.parse().ok()?).ok()?;
        Some(Self(match (network, network.addr().to_canonical()) {
            (IpNet::V6(_), address @ IpAddr::V4(_)) => {
                let bits = network.prefix_len();
                IpNet::new(address, bits.checked_sub(96).unwrap_or(bits)).unwrap_or(network)
            }
            _ => network,
        }))
    }

    /// The /24 (IPv4) or /48 (IPv6) network of an address, which is too large to identify a person.
    pub(crate) fn around(address: &str) -> Option<Self> {
        let address = address.parse::<IpAddr>().ok()?.to_canonical();
        let network = IpNet::new(address, if address.is_ipv4() { 24 } else { 48 }).ok()?;
        Some(Self(network.trunc()))
    }

    /// Whether the network contains the address. An IPv4-mapped IPv6 address is an IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether two addresses share their first 16 bits (IPv4) or 64 bits (IPv6), like addresses that an
/// Internet provider assigns to one client over time. IPv6 privacy addresses (RFC 8981) differ in
/// the last 64 bits. Texts that are not addresses are near if they are equal.
#[must_use]
pub fn is_near(one: &str, other: &str) -> bool {
    match (one.parse::<IpAddr>(), other.parse::<IpAddr>()) {
        (Ok(one), Ok(other)) => {
            let address = one.to_canonical();
            let bits = if address.is_ipv4() { 16 } else { 64 };
            IpNet::new(address, bits).is_ok_and(|network| network.contains(&other.to_canonical()))
        }
        _ => one == other,
    }
}

/// The client address of a request that may have passed through proxies; `None` if it is unknown.
///
/// If the reported address is a trusted proxy, the client address is the rightmost entry of
/// `X-Forwarded-For` that is not a trusted proxy. Each proxy appends the address of its peer to the
/// header, so the entries to the left of it are unverified and ignored. The address is unknown if
/// there is no such entry, or if it is not an address.
#[must_use]
pub fn client_address(reported: &str, forwarded_for: &str, trusted: &[Network]) -> Option<String> {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !reported.parse().is_ok_and(is_trusted) {
        return Some(reported.to_owned());
    }
    let client = forwarded_for
        .rsplit(',')
        .map(forwarded_address)
        .find(|entry| !entry.is_some_and(is_trusted))?;
    client.map(|address| address.to_string())
}

/// The address in an entry of `X-Forwarded-For`: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`,
/// `[2001:db8::1]` or `[2001:db8::1]:4711`.
fn forwarded_address(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bracketed = || {
        let inner = entry.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse::<Ipv6Addr>().map(IpAddr::from).ok()
    };
    let address = entry
        .parse()
        .or_else(|_| entry.parse().map(|address: SocketAddr| address.ip()))
        .ok()
        .or_else(bracketed)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_address_is_a_24_or_48_bit_network() {
        let around = |address: &str| Network::around(address).map(|network| network.to_string());
        assert_eq!(around("203.0.113.10").as_deref(), Some("203.0.113.0/24"));
        assert_eq!(
            around("2001:db8:1:2:3:4:5:6").as_deref(),
            Some("2001:db8:1::/48")
        );
        assert_eq!(
            around("::ffff:203.0.113.10").as_deref(),
            Some("203.0.113.0/24")
        );
        assert_eq!(around("nowhere"), None);
    }

    #[test]
    fn x_forwarded_for_counts_only_behind_a_trusted_proxy() {
        let trusted: Vec<Network> = ["203.0.113.0/24", "2001:db8:1::/48"]
            .iter()
            .map(|text| Network::parse(text).expect("a network"))
            .collect();
        let proxy = "203.0.113.7";
        for (reported, forwarded_for, expected) in [
            // Through the proxy; API Gateway appended the address of the proxy.
            (proxy, "198.51.100.1, 203.0.113.7", "198.51.100.1"),
            (proxy, "198.51.100.1,203.0.113.7", "198.51.100.1"),
            (proxy, "198.51.100.1", "198.51.100.1"),
            // Through two trusted proxies.
            (
                proxy,
                "198.51.100.1, 203.0.113.9, 203.0.113.7",
                "198.51.100.1",
            ),
            (
                proxy,
                "198.51.100.1, 2001:db8:1::9, 203.0.113.7",
                "198.51.100.1",
            ),
            // Entries that the client sent.
            (
                proxy,
                "192.0.2.99, 198.51.100.1, 203.0.113.7",
                "198.51.100.1",
            ),
            (
                proxy,
                "203.0.113.8, 198.51.100.1, 203.0.113.7",
                "198.51.100.1",
            ),
            (
                proxy,
                "unknown, <script>, \u{1f40e}, 198.51.100.1, 203.0.113.7",
                "198.51.100.1",
            ),
            // Not through the proxy.
            ("198.51.100.1", "192.0.2.99, 198.51.100.1", "198.51.100.1"),
            (
                "198.51.100.1",
                "192.0.2.99, 203.0.113.7, 198.51.100.1",
                "198.51.100.1",
            ),
            ("198.51.100.1", "192.0.2.99", "198.51.100.1"),
            // IPv6.
            (proxy, "2001:db8:2::1, 203.0.113.7", "2001:db8:2::1"),
            (
                "2001:db8:1::7",
                "2001:0db8:0002:0::1, 2001:db8:1::7",
                "2001:db8:2::1",
            ),
            (
                proxy,
                "::ffff:198.51.100.1, ::ffff:203.0.113.7",
                "198.51.100.1",
            ),
            (
                "::ffff:203.0.113.7",
                "198.51.100.1, 203.0.113.7",
                "198.51.100.1",
            ),
            // Ports and brackets.
            (proxy, "198.51.100.1:4711, 203.0.113.7", "198.51.100.1"),
            (proxy, "198.51.100.1:4711, 203.0.113.7:443", "198.51.100.1"),
            (proxy, "[2001:db8:2::1], 203.0.113.7", "2001:db8:2::1"),
            (proxy, "[2001:db8:2::1]:4711", "2001:db8:2::1"),
            (
                proxy,
                "192.0.2.99, [2001:db8:2::1]:4711, [2001:db8:1::9]:80, 203.0.113.7",
                "2001:db8:2::1",
            ),
            (proxy, "[::ffff:198.51.100.1]:4711", "198.51.100.1"),
            // No proxy reported the address.
            ("", "192.0.2.99", ""),
            ("unknown", "192.0.2.99", "unknown"),
        ] {
            assert_eq!(
                client_address(reported, forwarded_for, &trusted).as_deref(),
                Some(expected),
                "{reported}: {forwarded_for}"
            );
            assert_eq!(
                client_address(reported, forwarded_for, &[]).as_deref(),
                Some(reported),
                "{forwarded_for}"
            );
        }
        for forwarded_for in [
            "",
            "203.0.113.7",
            "203.0.113.9, 203.0.113.7",
            "192.0.2.99, unknown, 203.0.113.7",
            "192.0.2.99, , 203.0.113.7",
            "192.0.2.99, 198.51.100.1:, 203.0.113.7",
            "192.0.2.99, 198.51.100.1:65536, 203.0.113.7",
            "192.0.2.99, [198.51.100.1], 203.0.113.7",
            "192.0.2.99, [2001:db8:2::1, 203.0.113.7",
            "192.0.2.99, [2001:db8:2::1]4711, 203.0.113.7",
        ] {
            assert_eq!(
                client_address(proxy, forwarded_for, &trusted),
                None,
                "{forwarded_for}"
            );
        }
    }

    #[test]
    fn a_network_contains_the_addresses_with_its_prefix() {
        for (network, address, inside) in [
            ("203.0.113.0/24", "203.0.113.255", true),
            ("203.0.113.0/24", "203.0.114.0", false),
            ("203.0.113.7", "203.0.113.7", true),
            ("203.0.113.7", "203.0.113.8", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("203.0.113.0/24", "::ffff:203.0.113.9", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("2001:db8::ff00/120", "2001:db8::ffff", true),
            ("2001:db8::ff00/120", "2001:db8::fe00", false),
            ("::/0", "2001:db9::1", true),
            ("::/0", "203.0.113.7", false),
            // Bits after the prefix.
            ("203.0.113.7/24", "203.0.113.200", true),
            ("203.0.113.7/24", "203.0.114.7", false),
            ("2001:db8::7/32", "2001:db8:1::", true),
            // Full and nearly full prefixes, and single addresses.
            ("203.0.113.7/32", "203.0.113.7", true),
            ("203.0.113.7/32", "203.0.113.6", false),
            ("203.0.113.7/31", "203.0.113.6", true),
            ("2001:db8::1", "2001:db8::1", true),
            ("2001:db8::1/128", "2001:db8::2", false),
            // A sign or zeros before the prefix length.
            ("203.0.113.0/+24", "203.0.113.9", true),
            ("203.0.113.0/024", "203.0.113.9", true),
            ("203.0.113.0/024", "203.0.114.9", false),
            // IPv4-mapped IPv6. A prefix length up to 32 counts bits of the IPv4 address.
            ("::ffff:203.0.113.7", "203.0.113.7", true),
            ("::ffff:203.0.113.7", "203.0.113.8", false),
            ("::ffff:203.0.113.0/120", "203.0.113.9", true),
            ("::ffff:203.0.113.0/120", "::ffff:203.0.113.9", true),
            ("::ffff:203.0.113.0/120", "203.0.114.9", false),
            ("::ffff:0:0/96", "203.0.113.9", true),
            ("::ffff:203.0.113.0/24", "203.0.113.9", true),
            ("::ffff:203.0.113.0/24", "203.0.114.9", false),
            ("::ffff:203.0.113.0/80", "203.0.113.0", false),
        ] {
            let parsed = Network::parse(network).expect("a network");
            assert_eq!(
                parsed.contains(address.parse().expect("an address")),
                inside,
                "{network} {address}"
            );
        }
        let rejected = [
            "",
            "/",
            "1.2.3.4/",
            "1.2.3.4/33",
            "::/129",
            "1.2.3/8",
            "example.com",
            "1.2.3.4/-1",
        ];
        // Leading zeros, which could be octal, and other texts that are not networks.
        let zeros = [
            "010.0.0.0/8",
            "10.0.0.00/8",
            "010.0.0.1",
            "::ffff:010.0.0.1",
            "0x0a.0.0.0/8",
        ];
        let more = [
            "1.2.3.4/8/8",
            "1.2.3.4 /8",
            "1.2.3.4/ 8",
            "1.2.3.4/255.0.0.0",
            "1.2.3.4/256",
            "1.2.3.4/8.0",
            "::1%eth0",
            "[::1]",
        ];
        for text in rejected.into_iter().chain(zeros).chain(more) {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    #[test]
    fn near_addresses_share_16_bits_of_ipv4_or_64_bits_of_ipv6() {
        for (one, other, near) in [
            ("192.0.2.1", "192.0.255.255", true),
            ("192.0.2.1", "192.1.2.1", false),
            (
                "2001:db8:1:2:3:4:5:6",
                "2001:db8:1:2:ffff:ffff:ffff:ffff",
                true,
            ),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:3:3:4:5:6", false),
            ("192.0.2.1", "::ffff:192.0.9.9", true),
            ("192.0.2.1", "2001:db8::1", false),
            ("", "", true),
            ("", "192.0.2.1", false),
        ] {
            assert_eq!(is_near(one, other), near, "{one} {other}");
            assert_eq!(is_near(other, one), near, "{other} {one}");
        }
    }
}
