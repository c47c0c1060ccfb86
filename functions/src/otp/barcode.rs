//! QR codes as pictures.

use qrcode::{Color, EcLevel, QrCode};
use shared::BoxError;

/// Pixels of a side.
const SIDE: usize = 300;
/// Modules of white that a reader needs on each side (ISO/IEC 18004).
const QUIET_ZONE: usize = 4;

/// A PNG image, black on white and square, of a QR code that says this. Every module is the same whole number of pixels wide.
pub fn barcode(text: &str) -> Result<Vec<u8>, BoxError> {
    // On a screen nothing gets dirty, so the modules may be few and large.
    let code = QrCode::with_error_correction_level(text, EcLevel::L)?;
    let width = code.width();
    let pixels = SIDE / (width + 2 * QUIET_ZONE);
    let margin = (SIDE - width * pixels) / 2;
    let modules = code.to_colors();
    let module = |pixel: usize| pixel.checked_sub(margin).map(|inside| inside / pixels).filter(|&module| module < width);
    let is_dark = |(x, y): (usize, usize)| {
        let place = module(x).zip(module(y)).map(|(column, row)| row * width + column);
        place.and_then(|place| modules.get(place)) == Some(&Color::Dark)
    };
    // One bit a pixel, from the left, each row beginning a byte; white is 1, and so is what fills a row's last byte.
    let row = |y: usize| {
        (0..SIDE.div_ceil(8)).map(move |byte| (0..8).fold(0_u8, |bits, bit| bits << 1 | u8::from(!is_dark((byte * 8 + bit, y)))))
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
