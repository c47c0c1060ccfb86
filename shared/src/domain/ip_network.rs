//! Ranges of IP addresses.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;

/// A range of addresses (RFC 4632), as `203.0.113.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Reads `address/bits`, or a single address. Bits after the prefix are ignored. An IPv4
    /// network may be written as IPv6, as `::ffff:203.0.113.0/120`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // Not `IpNet::from_str`: it takes leading zeros, which other programs read as octal.
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

    /// The network of an address, too large to identify a person: its first 24 bits (IPv4) or 48
    /// bits (IPv6).
    pub(crate) fn around(address: &str) -> Option<Self> {
        let address = address.parse::<IpAddr>().ok()?.to_canonical();
        let network = IpNet::new(address, if address.is_ipv4() { 24 } else { 48 }).ok()?;
        Some(Self(network.trunc()))
    }

    /// Whether the address lies in it. An IPv4 address that is written as IPv6 counts as IPv4.
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

/// Whether two addresses share their first 16 bits (IPv4) or 96 bits (IPv6), as addresses that one
/// provider gives a client do. Texts that are no addresses are near if they are equal.
#[must_use]
pub fn is_near(one: &str, other: &str) -> bool {
    match (one.parse::<IpAddr>(), other.parse::<IpAddr>()) {
        (Ok(one), Ok(other)) => {
            let address = one.to_canonical();
            let bits = if address.is_ipv4() { 16 } else { 96 };
            IpNet::new(address, bits).is_ok_and(|network| network.contains(&other.to_canonical()))
        }
        _ => one == other,
    }
}

/// The client's address when a request may come through a gateway: the reported one, unless that is
/// a trusted proxy's. Then it is what the proxy nearest to the client wrote into `X-Forwarded-For`:
/// of the addresses in it, each added to the right by who passed the request on, the last that is
/// no trusted proxy. What is left of that is the client's own say and is not looked at; where the
/// header does not tell an address, the reported one stands.
#[must_use]
pub fn client_address(reported: &str, forwarded_for: &str, trusted: &[Network]) -> String {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !reported.parse().is_ok_and(is_trusted) {
        return reported.to_owned();
    }
    let passed_on = forwarded_for
        .rsplit(',')
        .map(|part| part.trim().parse::<IpAddr>());
    match passed_on
        .into_iter()
        .find(|part| !part.as_ref().is_ok_and(|&address| is_trusted(address)))
    {
        Some(Ok(address)) => address.to_canonical().to_string(),
        Some(Err(_)) | None => reported.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_address_names_nobody() {
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
    fn a_trusted_proxy_and_nobody_else_tells_the_address() {
        let trusted: Vec<Network> = ["203.0.113.0/24", "2001:db8:1::/48"]
            .iter()
            .map(|text| Network::parse(text).expect("a network"))
            .collect();
        let proxy = "203.0.113.7";
        for (reported, forwarded_for, expected) in [
            // Through the proxy; API Gateway has added the proxy's own address.
            (proxy, "198.51.100.1, 203.0.113.7", "198.51.100.1"),
            (proxy, "198.51.100.1,203.0.113.7", "198.51.100.1"),
            (proxy, "198.51.100.1", "198.51.100.1"),
            // Through two of them.
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
            // What the client says of itself.
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
            // The proxy does not tell.
            (proxy, "", proxy),
            (proxy, "203.0.113.7", proxy),
            (proxy, "203.0.113.9, 203.0.113.7", proxy),
            (proxy, "192.0.2.99, unknown, 203.0.113.7", proxy),
            (proxy, "192.0.2.99, , 203.0.113.7", proxy),
            (proxy, "192.0.2.99, 198.51.100.1:4711, 203.0.113.7", proxy),
            ("", "192.0.2.99", ""),
            ("unknown", "192.0.2.99", "unknown"),
        ] {
            assert_eq!(
                client_address(reported, forwarded_for, &trusted),
                expected,
                "{reported}: {forwarded_for}"
            );
            assert_eq!(
                client_address(reported, forwarded_for, &[]),
                reported,
                "{forwarded_for}"
            );
        }
    }

    #[test]
    fn a_network_is_an_address_and_its_first_bits() {
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
            // Ends and single addresses.
            ("203.0.113.7/32", "203.0.113.7", true),
            ("203.0.113.7/32", "203.0.113.6", false),
            ("203.0.113.7/31", "203.0.113.6", true),
            ("2001:db8::1", "2001:db8::1", true),
            ("2001:db8::1/128", "2001:db8::2", false),
            // A sign and zeros before the prefix.
            ("203.0.113.0/+24", "203.0.113.9", true),
            ("203.0.113.0/024", "203.0.113.9", true),
            ("203.0.113.0/024", "203.0.114.9", false),
            // IPv4 written as IPv6. Up to 32, the bits are those of the IPv4 address.
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
        // Leading zeros, which could be octal, and what else must not be read as a network.
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
    fn near_addresses_share_16_bits_or_96() {
        for (one, other, near) in [
            ("192.0.2.1", "192.0.255.255", true),
            ("192.0.2.1", "192.1.2.1", false),
            ("2001:db8::1:2:3", "2001:db8::1:ffff:ffff", true),
            ("2001:db8::1:2:3", "2001:db8::2:2:3", false),
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
