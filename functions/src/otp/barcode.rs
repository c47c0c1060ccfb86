//! QR codes as PNG images.

use qrcode::{Color, EcLevel, QrCode};
use shared::BoxError;

/// Width and height of the image in pixels.
const SIDE: usize = 300;
/// Width of the quiet zone around the code in modules (ISO/IEC 18004).
const QUIET_ZONE: usize = 4;

/// A square PNG image of a QR code with this text, black on white. Every module has the same whole
/// number of pixels.
pub fn barcode(text: &str) -> Result<Vec<u8>, BoxError> {
    // A code on a screen is not damaged, so the lowest error correction is sufficient, and its
    // modules are larger.
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
        let index = module(x)
            .zip(module(y))
            .map(|(column, row)| row * width + column);
        index.and_then(|index| modules.get(index)) == Some(&Color::Dark)
    };
    // One bit per pixel, the leftmost pixel in the highest bit; each row begins with a new byte.
    // White is 1, also in the padding of the last byte of a row.
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

    /// The rows of pixels; `true` is dark.
    fn pixels_of(text: &str) -> Vec<Vec<bool>> {
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
    fn modules_are_whole_pixels_within_a_quiet_zone_for_any_length_of_text() {
        for (bytes, pixels) in [(1, 10), (120, 6), (600, 3), (2900, 1)] {
            let rows = pixels_of(&"x".repeat(bytes));
            let width = QrCode::with_error_correction_level("x".repeat(bytes), EcLevel::L)
                .unwrap()
                .width();
            let margin = (SIDE - width * pixels) / 2;
            assert!(margin >= QUIET_ZONE * pixels, "{bytes}");
            let code = margin..margin + width * pixels;
            for (y, row) in rows.iter().enumerate() {
                for (x, &is_dark) in row.iter().enumerate() {
                    let inside = code.contains(&x) && code.contains(&y);
                    let corner =
                        |pixel: usize| margin + pixel.saturating_sub(margin) / pixels * pixels;
                    assert!(
                        if inside {
                            is_dark == rows[corner(y)][corner(x)]
                        } else {
                            !is_dark
                        },
                        "{bytes}: {x} {y}"
                    );
                }
            }
            assert!(rows[margin][margin], "the corner of the finder pattern");
        }
    }

    #[test]
    fn a_text_that_exceeds_the_capacity_of_a_qr_code_is_an_error() {
        assert!(barcode(&"x".repeat(3000)).is_err());
    }
}
