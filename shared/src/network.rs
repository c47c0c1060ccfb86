//! Networks, to tell near addresses from far ones.

use std::{fmt, net::IpAddr};

/// The addresses that share their first bits (RFC 4632), as `203.0.113.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Reads `address/bits`, or an address, which is a network of its own.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Some(longest), |prefix| prefix.parse().ok().filter(|&bits| bits <= longest))?;
        Some(Self { address, prefix })
    }

    /// Where an address is, roughly enough to name nobody: its first 24 bits (IPv4) or 48 bits (IPv6).
    pub(crate) fn around(address: &str) -> Option<Self> {
        let (address, prefix) = match address.parse::<IpAddr>().ok()?.to_canonical() {
            IpAddr::V4(address) => (IpAddr::V4((address.to_bits() >> 8 << 8).into()), 24),
            IpAddr::V6(address) => (IpAddr::V6((address.to_bits() >> 80 << 80).into()), 48),
        };
        Some(Self { address, prefix })
    }

    /// Whether the address lies in it. An IPv4 address that is written as IPv6 counts as what it stands for.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                (ours.to_bits() ^ theirs.to_bits()).leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                (ours.to_bits() ^ theirs.to_bits()).leading_zeros() >= u32::from(self.prefix)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Whether two addresses share their first 16 bits (IPv4) or 96 bits (IPv6): what a client keeps whose provider gives it a new
/// address now and then. Texts that are no addresses are near when they are the same.
#[must_use]
pub fn is_near(one: &str, other: &str) -> bool {
    match (one.parse::<IpAddr>(), other.parse::<IpAddr>()) {
        (Ok(one), Ok(other)) => {
            let address = one.to_canonical();
            Network { address, prefix: if address.is_ipv4() { 16 } else { 96 } }.contains(other)
        }
        _ => one == other,
    }
}

/// The client's address when a request may come through a gateway: the reported one, unless that is a trusted proxy's. Then it is
/// what the proxy nearest to the client wrote into `X-Forwarded-For`: of the addresses in it, each added to the right by who passed
/// the request on, the last that is no trusted proxy. What is left of that is the client's own say and is not looked at; where the
/// header does not tell an address, the reported one stands.
#[must_use]
pub fn client_address(reported: &str, forwarded_for: &str, trusted: &[Network]) -> String {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !reported.parse().is_ok_and(is_trusted) {
        return reported.to_owned();
    }
    let passed_on = forwarded_for.rsplit(',').map(|part| part.trim().parse::<IpAddr>());
    match passed_on.into_iter().find(|part| !part.as_ref().is_ok_and(|&address| is_trusted(address))) {
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
        assert_eq!(around("2001:db8:1:2:3:4:5:6").as_deref(), Some("2001:db8:1::/48"));
        assert_eq!(around("::ffff:203.0.113.10").as_deref(), Some("203.0.113.0/24"));
        assert_eq!(around("nowhere"), None);
    }

    #[test]
    fn a_trusted_proxy_and_nobody_else_tells_the_address() {
        let trusted: Vec<Network> =
            ["203.0.113.0/24", "2001:db8:1::/48"].iter().map(|text| Network::parse(text).expect("a network")).collect();
        let proxy = "203.0.113.7";
        for (reported, forwarded_for, expected) in [
            // Through the proxy; API Gateway has added the proxy's own address.
            (proxy, "198.51.100.1, 203.0.113.7", "198.51.100.1"),
            (proxy, "198.51.100.1,203.0.113.7", "198.51.100.1"),
            (proxy, "198.51.100.1", "198.51.100.1"),
            // Through two of them.
            (proxy, "198.51.100.1, 203.0.113.9, 203.0.113.7", "198.51.100.1"),
            (proxy, "198.51.100.1, 2001:db8:1::9, 203.0.113.7", "198.51.100.1"),
            // What the client says of itself.
            (proxy, "192.0.2.99, 198.51.100.1, 203.0.113.7", "198.51.100.1"),
            (proxy, "203.0.113.8, 198.51.100.1, 203.0.113.7", "198.51.100.1"),
            (proxy, "unknown, <script>, \u{1f40e}, 198.51.100.1, 203.0.113.7", "198.51.100.1"),
            // Not through the proxy.
            ("198.51.100.1", "192.0.2.99, 198.51.100.1", "198.51.100.1"),
            ("198.51.100.1", "192.0.2.99, 203.0.113.7, 198.51.100.1", "198.51.100.1"),
            ("198.51.100.1", "192.0.2.99", "198.51.100.1"),
            // IPv6.
            (proxy, "2001:db8:2::1, 203.0.113.7", "2001:db8:2::1"),
            ("2001:db8:1::7", "2001:0db8:0002:0::1, 2001:db8:1::7", "2001:db8:2::1"),
            (proxy, "::ffff:198.51.100.1, ::ffff:203.0.113.7", "198.51.100.1"),
            ("::ffff:203.0.113.7", "198.51.100.1, 203.0.113.7", "198.51.100.1"),
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
            assert_eq!(client_address(reported, forwarded_for, &trusted), expected, "{reported}: {forwarded_for}");
            assert_eq!(client_address(reported, forwarded_for, &[]), reported, "{forwarded_for}");
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
            ("::/0", "2001:db9::1", true),
        ] {
            let parsed = Network::parse(network).expect("a network");
            assert_eq!(parsed.contains(address.parse().expect("an address")), inside, "{network} {address}");
        }
        for text in ["", "/", "1.2.3.4/", "1.2.3.4/33", "::/129", "1.2.3/8", "example.com", "1.2.3.4/-1"] {
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
