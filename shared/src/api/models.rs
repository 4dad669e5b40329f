//! The models users can choose, by alias or by the provider's own id.
//!
//! Source: Google's model and deprecation pages of November 2026 (ai.google.dev/gemini-api/docs/models and
//! /deprecations). All entries are generally available.

use serde::Serialize;

use super::account::Plan;

/// One model. Serializes as an item of `GET ai/models`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Model {
    /// The name clients use; an alias outlives the model behind it.
    pub id: &'static str,
    /// Its provider.
    pub provider: Provider,
    /// The provider's id of the model.
    pub model: &'static str,
    /// Tokens of prompt and conversation it can take.
    pub context_window: u32,
    /// Tokens it can answer, thinking included.
    pub max_output_tokens: u32,
    /// Its abilities.
    pub abilities: &'static [Ability],
    /// The least plan that may use it.
    pub plan: Plan,
    /// True when it honours a temperature. Where it does not, sending one is deprecated and will become an error.
    #[serde(skip)]
    pub temperature: bool,
}

/// The provider of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Google Gemini.
    Gemini,
}

/// Something a model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ability {
    /// Answer in words.
    Text,
    /// See images.
    Vision,
    /// Answer in JSON, also after a schema.
    Json,
    /// Think before it answers.
    Reasoning,
}

/// All that are served: a model's tools are not, so that it does not list them.
const ALL_ABILITIES: &[Ability] = &[Ability::Text, Ability::Vision, Ability::Json, Ability::Reasoning];

const FAST: Model = Model {
    id: "fast",
    provider: Provider::Gemini,
    model: "gemini-3.6-flash",
    context_window: 1_048_576,
    max_output_tokens: 65_536,
    abilities: ALL_ABILITIES,
    plan: Plan::Basic,
    temperature: false,
};
const LITE: Model = Model { id: "lite", model: "gemini-3.5-flash-lite", ..FAST };
const SMART: Model = Model { id: "smart", model: "gemini-3.8-flash", ..FAST };
const FLASH_LITE_2_5: Model =
    Model { id: "gemini-2.5-flash-lite", model: "gemini-2.5-flash-lite", temperature: true, ..FAST };

/// Every model, the default first.
pub static MODELS: [Model; 4] = [FAST, LITE, SMART, FLASH_LITE_2_5];

/// Provider ids that were or are about to be withdrawn, and where their provider sends their requests. Conversations
/// keep the name they were made with, so these stay.
const WITHDRAWN: [(&str, &str); 4] = [
    ("gemini-2.5-flash", "lite"),
    ("gemini-2.5-pro", "smart"),
    ("gemini-3.5-flash", "fast"),
    ("gemini-3.7-flash", "smart"),
];

/// The alias of the model that answers when a request names none.
pub const DEFAULT_MODEL: &str = FAST.id;

/// The model of this name: an alias, a provider's id, or a withdrawn provider's id that has a successor.
pub fn resolve(name: &str) -> Option<&'static Model> {
    let name =
        WITHDRAWN.iter().find(|(withdrawn, _)| *withdrawn == name).map_or(name, |(_, successor)| successor);
    MODELS.iter().find(|model| model.id == name || model.model == name)
}

/// Every name that [`resolve`] knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    let current = MODELS.iter().flat_map(|model| {
        // The alias may be the provider's id.
        std::iter::once(model.id).chain((model.model != model.id).then_some(model.model))
    });
    current.chain(WITHDRAWN.iter().map(|(name, _)| *name))
}

impl Model {
    /// Returns whether the model can do this.
    pub fn can(&self, ability: Ability) -> bool {
        self.abilities.contains(&ability)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("fast", "gemini-3.6-flash")]
    #[case("lite", "gemini-3.5-flash-lite")]
    #[case("smart", "gemini-3.8-flash")]
    #[case("gemini-3.8-flash", "gemini-3.8-flash")]
    #[case("gemini-2.5-flash-lite", "gemini-2.5-flash-lite")]
    #[case("gemini-2.5-flash", "gemini-3.5-flash-lite")]
    #[case("gemini-2.5-pro", "gemini-3.8-flash")]
    fn name_finds_its_model(#[case] name: &str, #[case] model: &str) {
        assert_eq!(resolve(name).unwrap().model, model);
    }

    #[rstest]
    #[case("")]
    #[case("FAST")]
    #[case("gemini-2.5")]
    #[case("../models/fast")]
    fn any_other_name_finds_none(#[case] name: &str) {
        assert_eq!(resolve(name), None);
    }

    #[test]
    fn name_finds_one_model() {
        for (at, model) in MODELS.iter().enumerate() {
            assert_eq!(resolve(model.id), Some(model));
            assert_eq!(resolve(model.model), Some(model));
            assert!(
                MODELS.iter().skip(at + 1).all(|other| other.id != model.id && other.model != model.model)
            );
        }
        for (withdrawn, successor) in WITHDRAWN {
            assert!(MODELS.iter().all(|model| model.model != withdrawn));
            assert_eq!(resolve(withdrawn).unwrap().id, successor);
        }
        assert_eq!(resolve(DEFAULT_MODEL), MODELS.first());
    }

    #[test]
    fn listed_model_matches_contract() {
        assert_eq!(
            serde_json::to_value(LITE).unwrap(),
            serde_json::json!({
                "id": "lite", "provider": "gemini", "model": "gemini-3.5-flash-lite",
                "context_window": 1_048_576, "max_output_tokens": 65_536,
                "abilities": ["text", "vision", "json", "reasoning"], "plan": "basic",
            })
        );
    }
}
