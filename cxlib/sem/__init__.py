"""The engine room: model, estimate, fit measures, resampling, groups, ordinal data, diagram."""
