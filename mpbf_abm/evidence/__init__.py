"""Evidence: known results, facts of real ecosystems, assessments of a community, and calibration."""
