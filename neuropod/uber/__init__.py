"""What is only there for code that was written for Uber's library."""
