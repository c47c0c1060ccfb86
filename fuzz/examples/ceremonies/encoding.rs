//! Mutations of the encoding of keys and attestation objects.

use authenticator::{Key, cbor, cose};

use crate::{case::Case, random::Random};

/// Sets the public key, if the ceremony has one.
fn set(case: &mut Case<'_>, key: Vec<u8>) {
    if let Some(credential) = &mut case.data.credential {
        credential.public_key = key;
    }
}

/// Removes, repeats, adds or moves a parameter.
pub fn parameters(case: &mut Case<'_>, random: &mut Random) {
    let mut parameters = case.passkey.key.parameters();
    let place = random.below(parameters.len());
    match random.below(5) {
        0 => drop(parameters.remove(place)),
        1 => parameters.push(parameters[place].clone()),
        2 => parameters.push((random.choose(&[2, 4, -3, -4]), cbor::bytes(b"x"))),
        3 => parameters.reverse(),
        _ => parameters.swap(0, place),
    }
    set(case, cose(&parameters));
}

/// Replaces the value of a parameter.
pub fn value(case: &mut Case<'_>, random: &mut Random) {
    let mut parameters = case.passkey.key.parameters();
    let place = random.below(parameters.len());
    let value = &mut parameters[place].1;
    match random.below(4) {
        0 => {
            let integers = [0, 1, 2, 3, 6, -7, -8, -35, -257, -65535];
            *value = cbor::integer(random.choose(&integers));
        }
        1 => {
            *value = cbor::bytes(&vec![
                random.byte();
                random.choose(&[0, 1, 31, 32, 33, 256])
            ]);
        }
        2 => *value = vec![random.choose(&[0xf4, 0xf5, 0xf6])],
        _ => {
            let byte = random.below(value.len());
            value[byte] ^= 1 << random.below(8);
        }
    }
    set(case, cose(&parameters));
}

/// Keys at the limits of what is accepted.
pub fn special_key(case: &mut Case<'_>, random: &mut Random) {
    let mut parameters = case.passkey.key.parameters();
    let key = &case.passkey.key;
    match key {
        Key::Es256(_) => {
            // Zero, the prime of the field, and -1.
            let mut prime = vec![0; 32];
            prime[..4].fill(0xff);
            prime[7] = 1;
            prime[20..].fill(0xff);
            let coordinates = [vec![0; 32], prime, vec![0xff; 32]];
            for parameter in &mut parameters[3..] {
                if random.below(2) == 0 {
                    parameter.1 = cbor::bytes(&coordinates[random.below(3)]);
                }
            }
        }
        Key::EdDsa(_) => {
            let mut point = vec![random.choose(&[0, 0xff]); 32];
            point[0] = random.choose(&[0, 1, 2, 3, 0xec, 0xed, 0xee, 0xff]);
            point[31] = random.choose(&[0, 0x7f, 0x80, 0xff]);
            parameters[3].1 = cbor::bytes(&point);
        }
        Key::Rs256(_) => {
            let bits = random.choose(&[1024, 2040, 2047, 2048, 2049, 3072, 4096, 4097, 8192]);
            let mut modulus = vec![random.choose(&[0xa5, 0xff]); usize::div_ceil(bits, 8)];
            modulus[0] = 1 << ((bits - 1) % 8);
            if random.below(4) == 0 {
                modulus[1] &= 0xfe;
                let last = modulus.len() - 1;
                modulus[last] = 0;
            }
            if random.below(2) == 0 {
                parameters[2].1 = cbor::bytes(&modulus);
            }
            let exponents: [&[u8]; 9] = [
                &[1, 0, 1],
                &[3],
                &[1],
                &[2],
                &[],
                &[0, 3],
                &[1, 0, 0],
                &[0xff; 4],
                &[1, 0, 0, 0, 1],
            ];
            parameters[3].1 = cbor::bytes(random.choose(&exponents));
        }
    }
    set(case, cose(&parameters));
}

pub fn byte_of_key(case: &mut Case<'_>, random: &mut Random) {
    let mut key = case.passkey.key.cose();
    random.damage(&mut key);
    set(case, key);
}

/// Changes the members of the attestation object, or their form.
pub fn object(case: &mut Case<'_>, random: &mut Random) {
    let data = (cbor::text("authData"), cbor::bytes(&case.data()));
    let format = (cbor::text("fmt"), cbor::text("none"));
    let statement = (cbor::text("attStmt"), cbor::map(&[]));
    let mut members = vec![format, statement, data];
    let place = random.below(3);
    match random.below(9) {
        0 => drop(members.remove(place)),
        1 => members.push(members[place].clone()),
        2 => members[random.below(3)] = members[place].clone(),
        3 => members.swap(0, place),
        4 => members.push((cbor::text("extra"), cbor::integer(1))),
        5 => members[0].1 = cbor::text(random.choose(&["packed", "tpm", "", "None"])),
        6 => {
            let nested = [vec![0x81; random.below(20)], vec![0]].concat();
            members[1].1 = cbor::map(&[(cbor::text("x"), nested)]);
        }
        7 => members[place].1 = vec![random.choose(&[0x00, 0x40, 0x60, 0x80, 0xa0, 0xf6])],
        // Indefinite length.
        _ => {
            let mut object = cbor::map(&members);
            object[0] = 0xbf;
            object.push(0xff);
            case.raw_object = Some(object);
            return;
        }
    }
    case.raw_object = Some(cbor::map(&members));
}

pub fn byte_of_object(case: &mut Case<'_>, random: &mut Random) {
    let mut object = case.object();
    random.damage(&mut object);
    case.raw_object = Some(object);
}
