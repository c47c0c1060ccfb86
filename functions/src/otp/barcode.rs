//! QR codes as pictures.

use qrcode::{Color, EcLevel, QrCode};
use shared::BoxError;

/// Pixels of a side.
const SIDE: usize = 300;
/// Modules of white that a reader needs on each side (ISO/IEC 18004).
const QUIET_ZONE: usize = 4;

/// A PNG image, black on white and square, of a QR code that says this. Every module is the same
/// whole number of pixels wide.
pub fn barcode(text: &str) -> Result<Vec<u8>, BoxError> {
    // On a screen nothing gets dirty, so the modules may be few and large.
    let code = QrCode::with_error_correction_level(text, EcLevel::L)?;
    let width = code.width();
    let pixels = SIDE / (width + 2 * QUIET_ZONE);
    let margin = (SIDE - width * pixels) / 2;
    let modules = code.to_colors();
    let module = |pixel: usize| {
        pixel
            .checked_sub(margin)
            .map(|inside| inside / pixels)
            .filter(|&module| module < width)
    };
    let is_dark = |(x, y): (usize, usize)| {
        let place = module(x)
            .zip(module(y))
            .map(|(column, row)| row * width + column);
        place.and_then(|place| modules.get(place)) == Some(&Color::Dark)
    };
    // One bit a pixel, from the left, each row beginning a byte; white is 1, and so is what fills a
    // row's last byte.
    let row = |y: usize| {
        (0..SIDE.div_ceil(8)).map(move |byte| {
            (0..8).fold(0_u8, |bits, bit| {
                bits << 1 | u8::from(!is_dark((byte * 8 + bit, y)))
            })
        })
    };
    let data: Vec<u8> = (0..SIDE).flat_map(row).collect();
    let mut image = Vec::new();
    let side = u32::try_from(SIDE)?;
    let mut encoder = png::Encoder::new(&mut image, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    encoder.write_header()?.write_image_data(&data)?;
    Ok(image)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// The rows of the picture, dark or not.
    fn picture(text: &str) -> Vec<Vec<bool>> {
        let image = barcode(text).unwrap();
        let mut decoder = png::Decoder::new(Cursor::new(&image));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!((reader.info().width, reader.info().height), (300, 300));
        pixels
            .chunks(SIDE)
            .map(|row| row.iter().map(|&pixel| pixel == 0).collect())
            .collect()
    }

    #[test]
    fn modules_are_whole_pixels_within_a_quiet_zone_however_much_is_said() {
        for (bytes, pixels) in [(1, 10), (120, 6), (600, 3), (2900, 1)] {
            let picture = picture(&"x".repeat(bytes));
            let width = QrCode::with_error_correction_level("x".repeat(bytes), EcLevel::L)
                .unwrap()
                .width();
            let margin = (SIDE - width * pixels) / 2;
            assert!(margin >= QUIET_ZONE * pixels, "{bytes}");
            let code = margin..margin + width * pixels;
            for (y, row) in picture.iter().enumerate() {
                for (x, &is_dark) in row.iter().enumerate() {
                    let inside = code.contains(&x) && code.contains(&y);
                    let corner =
                        |place: usize| margin + place.saturating_sub(margin) / pixels * pixels;
                    assert!(
                        if inside {
                            is_dark == picture[corner(y)][corner(x)]
                        } else {
                            !is_dark
                        },
                        "{bytes}: {x} {y}"
                    );
                }
            }
            assert!(picture[margin][margin], "the corner of the finder pattern");
        }
    }

    #[test]
    fn more_than_a_qr_code_holds_is_an_error() {
        assert!(barcode(&"x".repeat(3000)).is_err());
    }
}
