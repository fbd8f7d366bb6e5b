//! What gateways say to each other and nobody keeps: signals of teams, and requests to one gateway.
