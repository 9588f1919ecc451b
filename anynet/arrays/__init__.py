"""Array functions that the array API standard leaves open."""
