"""GNNets: EAST's head on eight branches, each for texts of a range of sizes and angles."""
