"""What layers need of arrays and the array API standard leaves open."""
