//! Addresses that may be contacted: public ones, loopback in environment `dev`, and private ranges that an operator
//! names.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Addresses that a process may contact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    /// Loopback addresses are permitted, also without TLS.
    pub loopback: bool,
    /// More permitted addresses.
    pub ranges: Vec<AddressRange>,
}

impl AddressPolicy {
    /// Permits public addresses only.
    pub const fn public() -> Self {
        Self {
            loopback: false,
            ranges: Vec::new(),
        }
    }

    /// Whether an address may be contacted.
    pub(crate) fn includes(&self, address: IpAddr) -> bool {
        let address = canonical(address);
        (self.loopback && address.is_loopback())
            || is_public(address)
            || self.ranges.iter().any(|range| range.includes(address))
    }
}

/// Range of private or loopback addresses, such as `10.0.0.0/8` or `fd00:1::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    first: IpAddr,
    prefix: u8,
}

/// Error for text that is not a range of private or loopback addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a range of private or loopback addresses such as 10.0.0.0/8")]
pub struct AddressRangeError;

impl FromStr for AddressRange {
    type Err = AddressRangeError;

    fn from_str(text: &str) -> Result<Self, AddressRangeError> {
        let (first, prefix) = match text.split_once('/') {
            Some((first, prefix)) => (first, Some(prefix)),
            None => (text, None),
        };
        let first: IpAddr = first.parse().map_err(|_| AddressRangeError)?;
        let bits = bits_of(first);
        let prefix: u8 = prefix.map_or(Ok(bits), |prefix| prefix.parse().map_err(|_| AddressRangeError))?;
        let range = Self { first, prefix };
        // A range that also has other addresses would permit link-local ones, where clouds serve credentials.
        let is_within = |whole: &Self| whole.prefix <= prefix && whole.covers(first);
        let is_private = PRIVATE.iter().any(is_within);
        (prefix <= bits && is_private && range.network() == number(first))
            .then_some(range)
            .ok_or(AddressRangeError)
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// Private and loopback addresses, of which a range must be a part.
const PRIVATE: [AddressRange; 7] = [
    range_v4([10, 0, 0, 0], 8),
    range_v4([100, 64, 0, 0], 10),
    range_v4([127, 0, 0, 0], 8),
    range_v4([172, 16, 0, 0], 12),
    range_v4([192, 168, 0, 0], 16),
    AddressRange {
        first: IpAddr::V6(Ipv6Addr::LOCALHOST),
        prefix: 128,
    },
    AddressRange {
        first: IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)),
        prefix: 7,
    },
];

/// Addresses in private ranges at which clouds serve credentials.
const METADATA: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
];

const fn range_v4([a, b, c, d]: [u8; 4], prefix: u8) -> AddressRange {
    AddressRange {
        first: IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        prefix,
    }
}

impl AddressRange {
    fn includes(&self, address: IpAddr) -> bool {
        self.covers(address) && !METADATA.contains(&address)
    }

    fn covers(&self, address: IpAddr) -> bool {
        let shift = u32::from(bits_of(self.first) - self.prefix);
        let cut = |address| number(address).checked_shr(shift).unwrap_or(0);
        bits_of(address) == bits_of(self.first) && cut(address) == cut(self.first)
    }

    /// Returns the number of the first address without the bits after the prefix.
    fn network(&self) -> u128 {
        let shift = u32::from(bits_of(self.first).saturating_sub(self.prefix));
        let cut = number(self.first).checked_shr(shift).unwrap_or(0);
        cut.checked_shl(shift).unwrap_or(0)
    }
}

const fn bits_of(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// Globally reachable unicast, by the special-purpose registries of RFC 6890.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        [0 | 10 | 127, ..] | [169, 254, ..] | [192, 168, ..] => true,
        [100, second, ..] => (64..128).contains(&second),
        [172, second, ..] => (16..32).contains(&second),
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        [198, second, ..] => matches!(second, 18 | 19),
        [first, ..] => first >= 224,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Tunnels and translations hide another address; documentation and benchmark ranges are not routed.
        [0x2001, second, ..] if second < 0x0200 || second == 0x0db8 => false,
        [0x2002, ..] | [0x3fff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECIAL: [&str; 28] = [
        "0.0.0.0",
        "10.0.0.1",
        "127.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "64:ff9b::a9fe:a9fe",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
    ];

    #[test]
    fn special_addresses_are_not_contacted() {
        let dev = AddressPolicy {
            loopback: true,
            ranges: Vec::new(),
        };
        for text in SPECIAL {
            let address: IpAddr = text.parse().unwrap();
            assert!(!AddressPolicy::public().includes(address), "{text}");
            assert_eq!(dev.includes(address), canonical(address).is_loopback(), "{text}");
        }
        for text in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "2001:4860::8888",
        ] {
            assert!(AddressPolicy::public().includes(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn named_ranges_permit_private_addresses_only() {
        let all = [
            "10.0.0.0/8",
            "127.0.0.0/8",
            "100.64.0.0/10",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "::1",
            "fc00::/7",
        ];
        let policy = AddressPolicy {
            loopback: false,
            ranges: all.map(|text| text.parse().unwrap()).to_vec(),
        };
        let permitted: Vec<_> = SPECIAL
            .into_iter()
            .filter(|text| policy.includes(text.parse().unwrap()))
            .collect();
        assert_eq!(
            permitted,
            [
                "10.0.0.1",
                "127.0.0.1",
                "100.64.0.1",
                "172.16.0.1",
                "172.31.255.255",
                "192.168.1.1",
                "::1",
                "::ffff:127.0.0.1",
                "fc00::1"
            ]
        );
        assert!(!policy.includes("100.100.100.200".parse().unwrap()));
        let one = AddressPolicy {
            loopback: false,
            ranges: vec!["10.1.2.0/24".parse().unwrap()],
        };
        assert!(one.includes("10.1.2.255".parse().unwrap()));
        assert!(!one.includes("10.1.3.0".parse().unwrap()));
        for text in [
            "0.0.0.0/0",
            "::/0",
            "169.254.0.0/16",
            "169.254.169.254",
            "8.8.8.0/24",
            "10.0.0.0/7",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "fe80::/10",
            "10.0.0.0/",
            "localhost",
            "",
        ] {
            assert!(text.parse::<AddressRange>().is_err(), "{text}");
        }
    }
}
