//! Charts of a load test: latency by throughput.

use crate::series::{Series, Step};
use local::Error;
use plotters::prelude::*;

const SIZE: (u32, u32) = (960, 400);
const MIDDLE: RGBColor = RGBColor(31, 119, 180);
const SLOW: RGBColor = RGBColor(214, 39, 40);

/// One chart per series, next to each other.
pub fn svg(series: &[Series]) -> Result<String, Error> {
    let mut text = String::new();
    draw(&mut text, series)
        .map_err(|error| Error::new(format!("Drawing the chart failed: {error}")))?;
    Ok(text)
}

fn draw(text: &mut String, series: &[Series]) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    for (area, Series { name, steps }) in area
        .split_evenly((1, series.len().max(1)))
        .iter()
        .zip(series)
    {
        let most = |of: fn(&Step) -> f64| steps.iter().map(of).fold(1.0, f64::max) * 1.1;
        let mut chart = ChartBuilder::on(area)
            .caption(*name, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(50)
            .build_cartesian_2d(
                0.0..most(|step| step.per_second),
                0.0..most(|step| step.p99),
            )?;
        chart
            .configure_mesh()
            .x_desc("requests per second")
            .y_desc("ms")
            .light_line_style(TRANSPARENT)
            .draw()?;
        let middle: Vec<_> = steps
            .iter()
            .map(|step| (step.per_second, step.p50))
            .collect();
        let slow: Vec<_> = steps
            .iter()
            .map(|step| (step.per_second, step.p99))
            .collect();
        for (label, colour, points) in [("p50", MIDDLE, middle), ("p99", SLOW, slow)] {
            chart
                .draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(3))?
                .label(label)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2))
                });
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .border_style(BLACK.mix(0.2))
            .draw()?;
    }
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_series_has_a_chart() {
        let step = |clients, per_second| Step {
            clients,
            per_second,
            p50: 10.0,
            p95: 20.0,
            p99: 30.0,
        };
        let series = ["sign-ins", "session checks"].map(|name| Series {
            name,
            steps: vec![step(1, 50.0), step(2, 90.0)],
        });
        let svg = svg(&series).expect("an SVG document");
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(
            [
                "sign-ins",
                "session checks",
                "p50",
                "p99",
                "requests per second"
            ]
            .iter()
            .all(|text| svg.contains(text))
        );
    }
}
