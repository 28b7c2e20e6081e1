//! Where a session action's output manifests go.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};

use crate::error::{Error, Result};
use crate::settings::join_key;

/// A session action of a worker: what runs one task, or a chunk of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionAction {
    /// The farm's id.
    pub farm_id: String,
    /// The queue's id.
    pub queue_id: String,
    /// The job's id.
    pub job_id: String,
    /// The step's id.
    pub step_id: String,
    /// The task's id; `None` for a chunk of several tasks.
    pub task_id: Option<String>,
    /// Its own id.
    pub id: String,
    /// When it began.
    pub started: SystemTime,
}

impl SessionAction {
    /// The session action that the worker agent describes in the environment: `DEADLINE_FARM_ID`, `DEADLINE_QUEUE_ID`,
    /// `DEADLINE_JOB_ID`, `DEADLINE_STEP_ID`, `DEADLINE_SESSIONACTION_ID`, `DEADLINE_SESSIONACTION_START_TIME` in seconds since
    /// 1970, and `DEADLINE_TASK_ID` if it has one task.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] names the variables that are missing or empty, or the time that is no number.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut missing = Vec::new();
        let mut value = |name: &'static str| {
            variable(name).unwrap_or_else(|| {
                missing.push(name);
                String::new()
            })
        };
        let farm_id = value("DEADLINE_FARM_ID");
        let queue_id = value("DEADLINE_QUEUE_ID");
        let job_id = value("DEADLINE_JOB_ID");
        let step_id = value("DEADLINE_STEP_ID");
        let id = value("DEADLINE_SESSIONACTION_ID");
        let started = value("DEADLINE_SESSIONACTION_START_TIME");
        if !missing.is_empty() {
            return Err(Error::InvalidArgument(format!("The environment has no {}", missing.join(", "))));
        }
        let seconds = started.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let started = seconds.and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(seconds)).ok_or_else(|| {
            Error::InvalidArgument(format!("DEADLINE_SESSIONACTION_START_TIME is no time in seconds: {started}"))
        })?;
        Ok(Self { farm_id, queue_id, job_id, step_id, task_id: variable("DEADLINE_TASK_ID"), id, started })
    }

    /// The key of an output manifest of this action, below `<rootPrefix>/Manifests/`: the reference's
    /// `partial_session_action_manifest_prefix` and the manifest's name.
    #[must_use]
    pub fn manifest_key(&self, name: &str) -> String {
        let time = DateTime::<Utc>::from(self.started).format("%Y-%m-%dT%H:%M:%S%.6fZ");
        let folder = format!("{time}_{}", self.id);
        let mut parts = vec![self.farm_id.as_str(), &self.queue_id, &self.job_id, &self.step_id];
        parts.extend(self.task_id.as_deref());
        parts.extend([folder.as_str(), name]);
        join_key(&parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        let value = match name {
            // A double can't hold this time; what is left is cut, as the reference cuts it.
            "DEADLINE_SESSIONACTION_START_TIME" => "1735787045.678901",
            "DEADLINE_SESSIONACTION_ID" => "sessionaction-1-0",
            "DEADLINE_TASK_ID" => "task-1",
            "DEADLINE_STEP_ID" => "step-1",
            "DEADLINE_JOB_ID" => "job-1",
            "DEADLINE_QUEUE_ID" => "queue-1",
            "DEADLINE_FARM_ID" => "farm-1",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn keys_are_those_of_the_reference() {
        let mut action = SessionAction::from_variables(environment).unwrap();
        assert_eq!(
            action.manifest_key("h_output"),
            "farm-1/queue-1/job-1/step-1/task-1/2025-01-02T03:04:05.678900Z_sessionaction-1-0/h_output"
        );
        action.task_id = None;
        action.started = SystemTime::UNIX_EPOCH;
        assert_eq!(
            action.manifest_key("h_output"),
            "farm-1/queue-1/job-1/step-1/1970-01-01T00:00:00.000000Z_sessionaction-1-0/h_output"
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = SessionAction::from_variables(|name| environment(name).filter(|_| !name.contains("_ID")));
        let text = error.unwrap_err().to_string();
        assert!(text.contains("DEADLINE_FARM_ID, DEADLINE_QUEUE_ID") && !text.contains("TASK"), "{text}");
        let error =
            SessionAction::from_variables(|name| Some(if name.contains("TIME") { "soon" } else { "x" }.to_owned()));
        assert!(error.unwrap_err().to_string().ends_with(": soon"));
    }
}
