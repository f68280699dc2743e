"""What a trained network costs to run: NeuroBench's count beside our own."""
