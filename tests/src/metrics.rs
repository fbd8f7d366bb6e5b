//! Owns the reading of a process's metrics.

/// What `/metrics` answered at one moment.
#[derive(Debug, Clone)]
pub struct Samples(Vec<(String, f64)>);

impl Samples {
    pub(crate) fn parse(text: &str) -> Self {
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    /// The sum over all label sets of the metric `name`; `None` when there is no such metric.
    pub fn sum(&self, name: &str) -> Option<f64> {
        let values = self.0.iter().filter(|(series, _)| series.split('{').next() == Some(name));
        values.map(|(_, value)| *value).reduce(|sum, value| sum + value)
    }

    /// The one series that is written `series`, labels included.
    pub fn series(&self, series: &str) -> Option<f64> {
        self.0.iter().find(|(name, _)| name == series).map(|(_, value)| *value)
    }
}
