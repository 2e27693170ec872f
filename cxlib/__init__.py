"""cxlib: a customer-experience survey, from raw responses to a defensible answer."""
